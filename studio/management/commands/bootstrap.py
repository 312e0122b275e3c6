"""Create the demo team, people, campaigns and first pictures, once; only in the embedded shape."""

from __future__ import annotations

import json
import os
from secrets import token_urlsafe
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from studio.management import demo, demotemplates
from studio.models import Team
from studio.services import accounts


class Command(BaseCommand):
    """`manage.py bootstrap`: does nothing where a team already is."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """Where the sign-in file says the studio is."""
        parser.add_argument("--url", default="http://127.0.0.1:8000")
        parser.add_argument("--no-renders", action="store_true", help="leave the first pictures out")

    def handle(self, *args: Any, **options: Any) -> None:
        """Team and people all or nothing: the sign-in file is written before they can exist without it."""
        if not settings.EMBEDDED:
            raise CommandError("Demo people exist only in the embedded shape. Use add_person.")
        if Team.objects.exists():
            self._point_at(options["url"])
            return
        logins = [{"role": str(role), "email": email, "password": token_urlsafe(9)}
                  for role, email, _name, _language in demo.PEOPLE]
        with transaction.atomic():
            team = Team.objects.create(
                slug="brand", name_zh="云岭 · 品牌组", name_en="Yunling brand team",
                monthly_pictures=settings.TEAM_MONTHLY_PICTURES)
            people = [
                accounts.add_person(email=email, name=name, password=login["password"], team=team, role=role,
                                    language=language)
                for (role, email, name, language), login in zip(demo.PEOPLE, logins, strict=True)]
            _write({"url": options["url"], "accounts": logins})
        demotemplates.make_templates(team, people[0], people[1])
        demo.make_campaigns(team, people[0], pictures=not options["no_renders"])

    def _point_at(self, url: str) -> None:
        """Keep the file's address true when the port changed."""
        file = settings.VAR_DIR / "demo-logins.json"
        if file.exists():
            logins = json.loads(file.read_text(encoding="utf-8"))
            if logins.get("url") != url:
                _write(logins | {"url": url})


def _write(logins: dict[str, Any]) -> None:
    """Replace the file in one step; only its owner can read it."""
    file = settings.VAR_DIR / "demo-logins.json"
    fresh = file.with_suffix(f".{os.getpid()}")
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
        json.dump(logins, handle, ensure_ascii=False, indent=1)
    os.replace(fresh, file)
