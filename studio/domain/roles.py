"""Roles of a person in a team, weakest first."""

from __future__ import annotations

from enum import StrEnum

from studio.domain.i18n import gettext_noop as _


class Role(StrEnum):
    """A person's role in one team."""

    VIEWER = "viewer"
    MARKETER = "marketer"
    REVIEWER = "reviewer"
    ADMIN = "admin"


ROLE_LABELS: dict[Role, str] = {
    Role.VIEWER: _("Viewer"),
    Role.MARKETER: _("Marketer"),
    Role.REVIEWER: _("Reviewer"),
    Role.ADMIN: _("Admin"),
}
