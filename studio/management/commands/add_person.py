"""Add a person to a team from the command line; makes the team when it is new."""

from __future__ import annotations

import getpass
import sys
from secrets import token_hex
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db.models import Q
from django.utils.text import slugify

from studio.domain.roles import Role
from studio.models import Team
from studio.services import accounts


class Command(BaseCommand):
    """`manage.py add_person EMAIL --name N --team T --role admin`; the password is asked for, or read from a pipe."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Address, name, team, role."""
        parser.add_argument("email")
        parser.add_argument("--name", required=True)
        parser.add_argument("--team", required=True, help="the team's name or address; made when it is new")
        parser.add_argument("--role", required=True, choices=[str(role) for role in Role])

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, create, say so."""
        password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        for option, longest in (("name", 60), ("team", 80)):
            if not 0 < len(options[option].strip()) <= longest:
                raise CommandError(f"--{option}: use 1 to {longest} characters")
        try:
            validate_email(options["email"])
            validate_password(password)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        team = _team(options["team"].strip())
        user = accounts.add_person(
            email=options["email"], name=options["name"].strip(), password=password, team=team,
            role=Role(options["role"]))
        self.stdout.write(f"{user.email} is {options['role']} in {team}.")


def _team(name: str) -> Team:
    """The team of this name or address, made when there is none.

    Never found by what `slugify` leaves of a name: of two Chinese names that is the same.
    """
    found = Team.objects.filter(Q(name_en__iexact=name) | Q(name_zh=name) | Q(slug=name)).first()
    if found:
        return found
    slug = slugify(name)[:40] or "team"
    if Team.objects.filter(slug=slug).exists():
        slug = f"{slug}-{token_hex(3)}"
    field = "name_zh" if any("\u3400" <= letter <= "\u9fff" for letter in name) else "name_en"
    return Team.objects.create(slug=slug, monthly_pictures=settings.TEAM_MONTHLY_PICTURES, **{field: name})
