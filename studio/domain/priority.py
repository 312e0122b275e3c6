"""Which renders go first: the class of a request, from who asks and how near the campaign's deadline is."""

from __future__ import annotations

from datetime import date, timedelta
from enum import IntEnum

from studio.domain.errors import Forbidden
from studio.domain.i18n import gettext_noop as _
from studio.domain.roles import Role

#: A campaign whose deadline is this near is urgent by itself.
URGENT_WITHIN = timedelta(days=1)
_MAY_HURRY = (Role.REVIEWER, Role.ADMIN)


class Priority(IntEnum):
    """Classes of renders; a lower one is always taken first."""

    URGENT = 0
    NORMAL = 1
    BATCH = 2


PRIORITY_LABELS: dict[Priority, str] = {
    Priority.URGENT: _("Urgent"), Priority.NORMAL: _("Normal"), Priority.BATCH: _("In the background")}


def is_near(deadline: date | None, today: date) -> bool:
    """Whether a campaign with this deadline is urgent: today, tomorrow, or already late."""
    return deadline is not None and deadline - today <= URGENT_WITHIN


def priority_for(wanted: Priority | None, *, role: Role | None, deadline: date | None, today: date) -> Priority:
    """The class of a request; without a wish the deadline decides.

    Raises Forbidden when somebody wants to be urgent whom neither role nor deadline entitles.
    """
    near = is_near(deadline, today)
    if wanted is None:
        return Priority.URGENT if near else Priority.NORMAL
    if wanted is Priority.URGENT and not near and role not in _MAY_HURRY:
        raise Forbidden(_("Only reviewers and admins can jump the queue, unless the deadline is today or tomorrow."))
    return wanted
