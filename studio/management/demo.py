"""The demo of the embedded shape: people, campaigns and first pictures, made for the demo model's world."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from uuid import NAMESPACE_URL, uuid5

from django.db import DatabaseError
from django.utils import timezone

from studio.domain.errors import StudioError
from studio.domain.roles import Role
from studio.domain.spec import RenderRequest, Target
from studio.domain.states import AssetStatus
from studio.models import AdFormat, Asset, Campaign, RenderJob, Team, User
from studio.services import campaigns, models, renders, reviews

#: (role, address, name, interface language)
PEOPLE = (
    (Role.MARKETER, "lin.xiaoyu@demo.example", "林小雨", "zh-hans"),
    (Role.REVIEWER, "elena.fischer@demo.example", "Elena Fischer", "en"),
    (Role.ADMIN, "zhou.hang@demo.example", "周航", "zh-hans"),
)


@dataclass(frozen=True, slots=True)
class Shot:
    """A first prompt of a campaign; `status` is what becomes of its first picture."""

    format: str
    seed: int
    zh: str
    en: str
    count: int = 1
    status: AssetStatus = AssetStatus.DRAFT


@dataclass(frozen=True, slots=True)
class Plan:
    """A campaign. Its composer starts with the last shot, for the first two of the formats."""

    zh: str
    en: str
    days: int
    formats: tuple[str, ...]
    shots: tuple[Shot, ...]
    goal: str = ""
    message: str = ""


CAMPAIGNS = (
    Plan("冬日礼遇 · 新春有礼", "Winter gifts for the new year", 13,
         ("taobao-main", "xiaohongshu-3x4", "douyin-9x16", "wechat-lead"), (
             Shot("wechat-lead", 11, "红灯笼在右侧，金色渐变背景",
                  "a red lantern on the right, soft gold gradient background", status=AssetStatus.IN_REVIEW),
             Shot("douyin-9x16", 5, "蓝色光斑背景上的雪人", "a snowman on a blue background with bokeh lights"),
             Shot("xiaohongshu-3x4", 77, "红色放射背景上的礼物", "a gift box on a red sunburst background", 2,
                  AssetStatus.APPROVED)),
         goal="新年前让老客户回店。 · Bring regulars back before the new year.",
         message="一份心意，刚刚好。 · A gift that is just right."),
    Plan("新色唇膏 · 金色圆台", "New lip colours on gold", 24,
         ("taobao-main", "xiaohongshu-3x4", "douyin-9x16", "x-card"), (
             Shot("x-card", 8, "口红在左侧，粉色渐变背景",
                  "a lipstick on the left, soft pink gradient background"),
             Shot("douyin-9x16", 31, "粉色光斑背景上的口红",
                  "a lipstick on a pink background with bokeh lights", status=AssetStatus.IN_REVIEW),
             Shot("xiaohongshu-3x4", 12, "金色圆台上的口红", "a lipstick on a round gold podium", 2,
                  AssetStatus.APPROVED)),
         goal="推出三支新色，带动预售。 · Launch three new shades and start pre-orders.",
         message="颜色自己会说话。 · The colour speaks for itself."),
    Plan("暖冬一杯 · 新茶上市", "A warm cup: the new tea", 31,
         ("taobao-main", "xiaohongshu-3x4", "wechat-lead"), (
             Shot("wechat-lead", 3, "茶在左侧，米色渐变背景",
                  "a cup of tea on the left, soft beige gradient background"),
             Shot("xiaohongshu-3x4", 21, "绿色放射背景上的茶", "a cup of tea on a green sunburst background"),
             Shot("taobao-main", 40, "米色圆台上的茶", "a cup of tea on a round beige podium", 2)),
         goal="让新茶进入冬日礼单。 · Put the new tea on winter gift lists.",
         message="暖手，也暖心。 · Warm hands, warm hearts."),
    Plan("小星球玩具", "Little planet toys", 40,
         ("taobao-main", "xiaohongshu-3x4", "x-card"), (
             Shot("x-card", 6, "深蓝色渐变背景上的星星和熊猫",
                  "a star and a panda on a soft navy gradient background"),
             Shot("xiaohongshu-3x4", 5, "绿色圆台上的熊猫", "a panda on a round green podium"),
             Shot("taobao-main", 18, "粉色光斑背景上的泰迪熊",
                  "a teddy bear on a pink background with bokeh lights", 2)),
         goal="开学季前打开社交平台的认知。 · Make the toys known on social media before school starts.",
         message="每个孩子都有一颗小星球。 · Every child has a little planet."),
)


def make_campaigns(team: Team, owner: User, *, pictures: bool) -> None:
    """The campaigns; with `pictures` their first ones are asked for, and the worker draws them when it is up."""
    for plan in CAMPAIGNS:
        campaign = campaigns.create(
            user=owner, team=team, plan=campaigns.Plan(
                name_zh=plan.zh, name_en=plan.en, deadline=timezone.localdate() + timedelta(days=plan.days),
                goal=plan.goal, message=plan.message, people=(owner,),
                needs=dict.fromkeys(AdFormat.objects.filter(key__in=plan.formats), 2)))
        for shot in plan.shots if pictures else ():
            _ask(campaign, owner, shot)


def _ask(campaign: Campaign, owner: User, shot: Shot) -> None:
    """Real renders through the real path."""
    preset = AdFormat.objects.get(key=shot.format)
    card = models.current().card
    renders.request_render(
        user=owner, campaign=campaign, card=card, today=timezone.localdate(),
        request=RenderRequest(
            prompt_zh=shot.zh, prompt_en=shot.en, count=shot.count, seed=shot.seed, steps=card.steps,
            guidance=card.guidance, targets=(Target(shot.format, preset.width, preset.height),)),
        request_key=uuid5(NAMESPACE_URL, f"{campaign.slug}/{shot.format}/{shot.seed}"))


def review() -> None:
    """Send the pictures that are meant for it to review, and decide as the demo reviewer; those that are there."""
    marketer, reviewer, _admin = (User.objects.get(email=email) for _role, email, _name, _language in PEOPLE)
    wanted: dict[Asset, AssetStatus] = {}
    for shot in (shot for plan in CAMPAIGNS for shot in plan.shots if shot.status != AssetStatus.DRAFT):
        drafts = Asset.objects.filter(author=marketer, job__batch__prompt_zh=shot.zh, status=AssetStatus.DRAFT)
        first = drafts.select_related("campaign", "job").order_by("pk").first()
        if first:
            wanted[first] = shot.status
    if wanted:
        reviews.submit(user=marketer, assets=list(wanted))
    for asset, status in wanted.items():
        if status == AssetStatus.APPROVED:
            reviews.approve(user=reviewer, asset=asset)


class FirstPictures:
    """What a first start waits for, at most `seconds` from the first question on: pictures instead of empty boxes."""

    def __init__(self, say: Callable[[str], None], seconds: float = 25.0) -> None:
        self._say = say
        self._seconds = seconds
        self._deadline = 0.0
        self._said = 0

    def are_there(self) -> bool:
        """Whether all have ended, or the time is up; says now and then how far they are."""
        now = time.monotonic()
        self._deadline = self._deadline or now + self._seconds
        try:
            total, left = RenderJob.objects.count(), RenderJob.objects.open().count()
            if left and now < self._deadline:
                self._tell(total - left, total)
                return False
            with suppress(StudioError):  # somebody has signed in meanwhile, and was quicker
                review()
        except DatabaseError:  # busy: asked again
            return now >= self._deadline
        return True

    def _tell(self, done: int, total: int) -> None:
        if not self._said or done >= self._said + total // 4:
            self._said = max(1, done)
            self._say(f"Rendering the first pictures: {done} of {total}")
