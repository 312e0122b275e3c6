"""Create the demo team, people, campaigns and first pictures, once; only in the embedded shape."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from studio.domain.roles import Role
from studio.domain.spec import RenderRequest, Target
from studio.models import AdFormat, Campaign, Team, User
from studio.services import accounts, campaigns, models, renders

#: (role, address, name, interface language)
PEOPLE = (
    (Role.MARKETER, "lin.xiaoyu@demo.example", "林小雨", "zh-hans"),
    (Role.REVIEWER, "elena.fischer@demo.example", "Elena Fischer", "en"),
    (Role.ADMIN, "zhou.hang@demo.example", "周航", "zh-hans"),
)
#: Made for what the demo model can draw: one product on a plain or gradient ground.
CAMPAIGNS: tuple[dict[str, Any], ...] = (
    {"zh": "冬日礼遇 · 玫瑰与礼盒", "en": "Winter gifts, roses and boxes", "days": 13,
     "formats": ["xiaohongshu-3x4", "taobao-main", "wechat-lead", "instagram-4x5"], "prompts": (
         ("粉色渐变背景上的红玫瑰", "a red rose on a soft pink gradient background", "xiaohongshu-3x4", 520),
         ("红色放射背景上的礼物", "a gift box on a red sunburst background", "taobao-main", 77))},
    {"zh": "新色唇膏 · 金色圆台", "en": "New lip colours on gold", "days": 24,
     "formats": ["xiaohongshu-3x4", "douyin-9x16", "taobao-main"], "prompts": (
         ("金色圆台上的口红", "product photo of a lipstick on a gold podium", "xiaohongshu-3x4", 12),
         ("米色展台上的口红", "a lipstick on a beige podium", "taobao-main", 31))},
    {"zh": "小星球玩具", "en": "Little planet toys", "days": 40,
     "formats": ["taobao-main", "instagram-square", "x-card"], "prompts": (
         ("蓝色背景上的火箭", "a rocket on a blue background", "instagram-square", 8),
         ("绿色背景上的熊猫", "a panda on a green background", "taobao-main", 5))},
)


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
                  for role, email, _name, _language in PEOPLE]
        with transaction.atomic():
            team = Team.objects.create(
                slug="brand", name_zh="云岭 · 品牌组", name_en="Yunling brand team",
                monthly_pictures=settings.TEAM_MONTHLY_PICTURES)
            people = [
                accounts.add_person(email=email, name=name, password=login["password"], team=team, role=role,
                                    language=language)
                for (role, email, name, language), login in zip(PEOPLE, logins, strict=True)]
            _write({"url": options["url"], "accounts": logins})
        made = [(plan, _campaign(plan, team, people[0])) for plan in CAMPAIGNS]
        if not options["no_renders"]:
            for plan, campaign in made:
                _first_pictures(plan, campaign, people[0])

    def _point_at(self, url: str) -> None:
        """Keep the file's address true when the port changed."""
        file = settings.VAR_DIR / "demo-logins.json"
        if file.exists():
            logins = json.loads(file.read_text(encoding="utf-8"))
            if logins.get("url") != url:
                _write(logins | {"url": url})


def _campaign(plan: dict[str, Any], team: Team, owner: User) -> Campaign:
    return campaigns.create(
        user=owner, team=team, name_zh=plan["zh"], name_en=plan["en"],
        deadline=timezone.localdate() + timedelta(days=plan["days"]),
        formats=list(AdFormat.objects.filter(key__in=plan["formats"])))


def _first_pictures(plan: dict[str, Any], campaign: Campaign, owner: User) -> None:
    """Real renders through the real path; the worker draws them when it is up."""
    card = models.current().card
    for zh, en, key, seed in plan["prompts"]:
        preset = AdFormat.objects.get(key=key)
        renders.request_render(
            user=owner, campaign=campaign, card=card, today=timezone.localdate(),
            request=RenderRequest(prompt_zh=zh, prompt_en=en, count=2, seed=seed,
                                  targets=(Target(key, preset.width, preset.height),)),
            request_key=uuid5(NAMESPACE_URL, f"{campaign.slug}/{key}/{seed}"))


def _write(logins: dict[str, Any]) -> None:
    """Replace the file in one step; only its owner can read it."""
    file = settings.VAR_DIR / "demo-logins.json"
    fresh = file.with_suffix(f".{os.getpid()}")
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as handle:
        json.dump(logins, handle, ensure_ascii=False, indent=1)
    os.replace(fresh, file)
