"""People, their settings and memberships."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from studio import notify
from studio.domain.roles import Role
from studio.models import Membership, Team, User
from studio.services import activity


def change_settings(*, user: User, **fields: Any) -> None:
    """Keep a person's own settings: `language`, `theme`, `hotkeys`."""
    assert fields.keys() <= {"language", "theme", "hotkeys"}, fields
    for name, value in fields.items():
        setattr(user, name, value)
    user.save(update_fields=list(fields))


def add_person(
    *, email: str, name: str, password: str, team: Team, role: Role, actor: User | None = None, language: str = "",
) -> User:
    """Create a person (or find them by address) and give them `role` in `team`.

    An existing person keeps name and password. `actor` is None for the command line.
    """
    with transaction.atomic():
        user = User.objects.filter(email=email.strip().lower()).first() or User.objects.create_user(
            email, password, name=name, language=language)
        set_role(user=user, team=team, role=role, actor=actor)
    return user


def set_role(*, user: User, team: Team, role: Role | None, actor: User | None = None) -> None:
    """Give a person a role in a team, or take the membership away with None. Their sockets check again."""
    with transaction.atomic():
        if role is None:
            Membership.objects.filter(user=user, team=team).delete()
            activity.record(verb="member.removed", team=team, actor=actor, member=user.name)
        else:
            Membership.objects.update_or_create(user=user, team=team, defaults={"role": role})
            activity.record(verb="member.added", team=team, actor=actor, member=user.name, role=str(role))
        notify.access_changed(user.pk)
