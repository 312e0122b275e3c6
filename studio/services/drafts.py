"""What a person has typed into a campaign's composer, kept until it is rendered."""

from __future__ import annotations

from django.utils import timezone

from studio import permissions
from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _
from studio.models import Campaign, Draft, User

#: Characters of all fields together. The longest prompts and every variable fit into a fraction of it.
MAX_CHARS = 40_000


def keep(*, user: User, campaign: Campaign, fields: dict[str, list[str]]) -> Draft:
    """Keep `fields` as the person's draft in the campaign, in place of the one before.

    Raises Forbidden, or Invalid when there is too much of it.
    """
    permissions.require(user, "render.create", campaign)
    if sum(len(name) + sum(map(len, values)) for name, values in fields.items()) > MAX_CHARS:
        raise Invalid(_("This draft is too long to be kept. It can still be rendered."))
    draft, _made = Draft.objects.update_or_create(
        user=user, campaign=campaign, defaults={"fields": fields, "saved_at": timezone.now()})
    return draft


def discard(*, user: User, campaign: Campaign) -> None:
    """Forget the person's draft, as when it was rendered."""
    Draft.objects.filter(user=user, campaign=campaign).delete()
