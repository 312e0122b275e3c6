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


def why_not_urgent(*, role: Role | None, deadline: date | None, today: date) -> str:
    """Why somebody of this role can't ask for urgency; empty when they can."""
    if role in _MAY_HURRY or is_near(deadline, today):
        return ""
    return _("Only reviewers and admins can jump the queue, unless the deadline is today or tomorrow.")


def priority_for(wanted: Priority | None, *, role: Role | None, deadline: date | None, today: date) -> Priority:
    """The class of a request; without a wish the deadline decides.

    Raises Forbidden when somebody wants to be urgent whom neither role nor deadline entitles.
    """
    if wanted is None:
        return Priority.URGENT if is_near(deadline, today) else Priority.NORMAL
    refusal = why_not_urgent(role=role, deadline=deadline, today=today) if wanted is Priority.URGENT else ""
    if refusal:
        raise Forbidden(refusal)
    return wanted
