"""What is there to do, and how the campaigns stand."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F
from django.http import HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from studio import permissions
from studio.domain.states import AssetStatus
from studio.models import Activity, Asset, Campaign, QuotaAccount, RenderJob, Review, Team, User, Worker
from studio.models.assets import AssetQuerySet
from studio.services import paces, quotas
from studio.templatetags.studio_tags import localname
from studio.web.http import StudioRequest, page, signed_in
from studio.web.strips import strips
from studio.web.texts import activity_text

#: Campaigns on the page at first, and with each press of "Show more"; at most so many at once.
CAMPAIGNS_SHOWN, CAMPAIGNS_MOST = 30, 300
TABS = ("running", "planning", "archived")


def _todo(user: User) -> dict[str, Any]:
    reviewing = permissions.teams_with(user, "asset.review")
    waiting = Review.objects.open().filter(asset__campaign__team__in=reviewing).exclude(author=user)
    mine = Asset.objects.visible_to(user).filter(author=user)
    return {
        "is_reviewer": bool(reviewing), "waiting": waiting.count(), "oldest": waiting.first(),
        "changes": mine.filter(status=AssetStatus.CHANGES).count(),
        "in_review": mine.filter(status=AssetStatus.IN_REVIEW).count(),
        "change_campaign": _newest_with(mine.filter(status=AssetStatus.CHANGES)),
        "review_campaign": None if reviewing else _newest_with(mine.filter(status=AssetStatus.IN_REVIEW))}


def _newest_with(assets: AssetQuerySet) -> Campaign | None:
    """The campaign of the newest of these pictures."""
    return Campaign.objects.filter(assets__in=assets).order_by("-assets__pk").first()


def quotas_of(user: User) -> list[QuotaAccount]:
    """This month's account of each of the person's teams."""
    teams = Team.objects.all() if user.is_superuser else Team.objects.filter(memberships__user=user)
    return [quotas.account_for(team, timezone.localdate()) for team in teams.order_by("slug")]


def activity_lines(user: User, count: int) -> list[dict[str, Any]]:
    """The newest lines of the person's teams as sentences."""
    lines = Activity.objects.visible_to(user).select_related("actor", "campaign", "asset").order_by("-pk")[:count]
    return [{"line": line, "text": activity_text(line, localname(line.campaign) if line.campaign else "")}
            for line in lines]


def _workers() -> dict[str, Any]:
    """The workers that report, the queue's length, and when it will be empty in milliseconds if that is known."""
    workers = list(Worker.objects.live().select_related("job__batch"))
    queued = RenderJob.objects.queued().values()
    waiting, steps = (sum(column) for column in zip(*queued, strict=True)) if queued else (0, 0)
    found = [pace for worker in workers if (pace := paces.of([worker]))]
    per_ms = sum(1 / pace.ms(pictures=waiting, steps=steps) for pace in found) if waiting else 0
    return {"workers": workers, "waiting_count": waiting, "clear_in": 1 / per_ms if per_ms else None}


@require_safe
@signed_in
def home(request: StudioRequest) -> HttpResponse:
    """To-dos, campaign strips, quota, workers, activity."""
    visible = Campaign.objects.visible_to(request.user)
    per_status = dict(visible.order_by().values_list("status").annotate(n=Count("pk")))
    tab = request.GET.get("tab", "running")
    tab = tab if tab in TABS else "running"
    wanted = request.GET.get("shown", "")
    shown = min(int(wanted), CAMPAIGNS_MOST) if wanted.isdecimal() and len(wanted) < 5 else CAMPAIGNS_SHOWN
    month = timezone.localdate().replace(day=1)
    accounts = quotas_of(request.user)
    return page(request, "studio/home.html", {
        "nav": "home", "tab": tab, "tabs": [(name, per_status.get(name, 0)) for name in TABS],
        "strips": strips(list(visible.filter(status=tab).select_related("team").order_by(
            F("deadline").asc(nulls_last=True), "-created_at")[:shown])),
        "more": max(0, min(per_status.get(tab, 0), CAMPAIGNS_MOST) - shown), "next_shown": shown + CAMPAIGNS_SHOWN,
        "todo": _todo(request.user), "accounts": accounts,
        "fullest": max(accounts, key=lambda account: account.percent, default=None),
        "my_pictures": Asset.objects.filter(author=request.user, created_at__date__gte=month).count(),
        **_workers(),
        "activity": activity_lines(request.user, 6),
        "may_create": permissions.ALLOWED if permissions.teams_with(request.user, "campaign.create")
        else permissions.Decision(False, permissions.MAKERS_REASON),
    }, partial="studio/_home_live.html")
