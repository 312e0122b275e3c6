"""Campaigns: make one."""

from __future__ import annotations

from datetime import date
from secrets import token_hex

from django.db import transaction
from django.utils.text import slugify

from studio import permissions
from studio.models import AdFormat, Campaign, Team, User
from studio.services import activity


def create(
    *, user: User, team: Team, name_zh: str, name_en: str, deadline: date | None, formats: list[AdFormat],
) -> Campaign:
    """Make a running campaign; its address comes from the English name. Raises Forbidden."""
    permissions.require(user, "campaign.create", team)
    stem = slugify(name_en)[:40].strip("-") or "campaign"
    with transaction.atomic(durable=True):
        campaign = Campaign.objects.create(
            team=team, slug=f"{stem}-{token_hex(3)}", name_zh=name_zh, name_en=name_en,
            deadline=deadline, created_by=user)
        campaign.formats.set(formats)
        activity.record(verb="campaign.created", actor=user, campaign=campaign)
    return campaign
