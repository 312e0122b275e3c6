"""Add a person to a team from the command line; makes the team when it is new."""

from __future__ import annotations

import getpass
import sys
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
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
        parser.add_argument("--team", required=True, help="the team's name; made when it is new")
        parser.add_argument("--role", required=True, choices=[str(role) for role in Role])

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, create, say so."""
        password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        slug = slugify(options["team"], allow_unicode=False) or "team"
        try:
            validate_email(options["email"])
            validate_password(password)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        team, _made = Team.objects.get_or_create(slug=slug, defaults={
            "name_en": options["team"][:80], "monthly_pictures": settings.TEAM_MONTHLY_PICTURES})
        user = accounts.add_person(
            email=options["email"], name=options["name"], password=password, team=team, role=Role(options["role"]))
        self.stdout.write(f"{user.email} is {options['role']} in {team}.")
