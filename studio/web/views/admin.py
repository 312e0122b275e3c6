"""Usage, limits and the activity list, for admins of a team."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.db.models import Count, Q
from django.db.models.functions import TruncDate
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from studio import permissions
from studio.domain.errors import Conflict, Forbidden, StudioError
from studio.domain.states import AssetStatus, JobStatus
from studio.models import Activity, Asset, Membership, QuotaAccount, RenderJob, Team, User, Worker
from studio.services import quotas
from studio.templatetags.studio_tags import localname
from studio.web.forms.campaigns import LimitForm
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.texts import activity_text, error_hint, error_text

LINES = 50


def administered(request: StudioRequest) -> list[Team]:
    """The teams this person administers. Raises Forbidden when there is none."""
    teams = list(Team.objects.filter(pk__in=permissions.teams_with(request.user, "usage.view")).order_by("slug"))
    if not teams:
        raise Forbidden(permissions.ADMINS_REASON)
    return teams


def administered_team(request: StudioRequest, slug: str = "") -> Team:
    """The team of `?team=`; a 404 for one the person does not belong to, Forbidden for one they don't run."""
    teams = administered(request)
    slug = slug or request.GET.get("team", "")
    if not slug:
        return teams[0]
    for team in teams:
        if team.slug == slug:
            return team
    if "\x00" not in slug and Team.objects.filter(slug=slug, memberships__user=request.user).exists():
        raise Forbidden(permissions.ADMINS_REASON)
    raise Http404


def _days(team: Team, today: date) -> list[dict[str, Any]]:
    """Pictures delivered and failed for each of the last 30 days."""
    first = today - timedelta(days=29)
    jobs = RenderJob.objects.filter(team=team, finished_at__date__gte=first)
    per_day = jobs.annotate(day=TruncDate("finished_at")).values("day").annotate(
        done=Count("pk", filter=Q(status=JobStatus.DONE)), failed=Count("pk", filter=Q(status=JobStatus.FAILED)))
    found: dict[date, dict[str, Any]] = {row["day"]: dict(row) for row in per_day.order_by()}
    days = [first + timedelta(days=n) for n in range(30)]
    rows = [{"day": day, "done": found.get(day, {}).get("done", 0), "failed": found.get(day, {}).get("failed", 0)}
            for day in days]
    peak = max((row["done"] + row["failed"] for row in rows), default=0) or 1
    return [row | {"done_percent": 100 * row["done"] / peak, "failed_percent": 100 * row["failed"] / peak}
            for row in rows]


def _chart(days: list[dict[str, Any]]) -> dict[str, Any]:
    """The days with what their summary says: pictures in all, failures in all, the busiest day."""
    done, failed = sum(row["done"] for row in days), sum(row["failed"] for row in days)
    busiest = max(days, key=lambda row: int(row["done"])) if done else None
    return {"days": days, "days_done": done, "days_failed": failed, "busiest": busiest,
            "peak": max(row["done"] + row["failed"] for row in days)}


def _people(team: Team, month: date) -> Iterable[Membership]:
    """The team's people with this month's delivered and approved pictures, busiest first."""
    made = Q(user__assets__campaign__team=team, user__assets__created_at__date__gte=month)
    return Membership.objects.filter(team=team).select_related("user").annotate(
        pictures=Count("user__assets", filter=made, distinct=True),
        approved=Count("user__assets", filter=made & Q(user__assets__status=AssetStatus.APPROVED), distinct=True),
    ).order_by("-pictures", "user__name")


def _approval(team: Team, month: date) -> int | None:
    """Share of decided pictures that are approved, in percent; None when nothing was decided."""
    decided = Asset.objects.filter(campaign__team=team, created_at__date__gte=month).aggregate(
        approved=Count("pk", filter=Q(status=AssetStatus.APPROVED)),
        sent_back=Count("pk", filter=Q(status=AssetStatus.CHANGES)))
    total = decided["approved"] + decided["sent_back"]
    return round(100 * decided["approved"] / total) if total else None


def _usage(request: StudioRequest, team: Team, **more: Any) -> dict[str, Any]:
    today = timezone.localdate()
    month = today.replace(day=1)
    finished = RenderJob.objects.filter(team=team, finished_at__date__gte=month).aggregate(
        done=Count("pk", filter=Q(status=JobStatus.DONE)), failed=Count("pk", filter=Q(status=JobStatus.FAILED)),
        cancelled=Count("pk", filter=Q(status=JobStatus.CANCELLED)))
    return {
        "nav": "admin", "tab": "usage", "teams": administered(request), "team": team,
        "account": quotas.account_for(team, today), **_chart(_days(team, today)), "people": _people(team, month),
        "finished": finished, "approval": _approval(team, month),
        "history": QuotaAccount.objects.filter(team=team, period__lt=month).order_by("-period")[:12],
        "resets": (month + timedelta(days=32)).replace(day=1), "workers": _workers(),
        "limit_value": team.monthly_pictures, **more}


def _workers() -> list[tuple[Worker, bool]]:
    """Every worker ever seen, and whether it can be counted on."""
    live = set(Worker.objects.live().values_list("pk", flat=True))
    return [(worker, worker.pk in live) for worker in Worker.objects.all()]


@require_safe
@signed_in
def usage(request: StudioRequest) -> HttpResponse:
    """Limit, use by day and person, workers."""
    return page(request, "studio/admin_usage.html", _usage(request, administered_team(request)))


@require_POST
@signed_in
def change_limit(request: StudioRequest, slug: str) -> HttpResponse:
    """Set the team's pictures per month; below this month's use it asks to confirm."""
    team = administered_team(request, slug)
    form = LimitForm(request.POST)
    if not form.is_valid():
        message = " ".join(str(text) for texts in form.errors.values() for text in texts)
        return page(request, "studio/admin_usage.html", _usage(
            request, team, limit_error=message, limit_value=request.POST.get("limit", "")[:20]), status=422)
    limit = form.cleaned_data["limit"]
    try:
        quotas.change_limit(user=request.user, team=team, limit=limit, today=timezone.localdate(),
                            even_below_use=form.cleaned_data["confirm"])
    except Forbidden:
        raise
    except StudioError as error:
        return page(request, "studio/admin_usage.html", _usage(
            request, team, limit_error=error_text(error), limit_hint=error_hint(error), limit_value=limit,
            limit_confirm=isinstance(error, Conflict)), status=error.status)
    say(request, gettext("The limit is %(limit)d pictures a month now.") % {"limit": limit})
    return HttpResponseRedirect(f"{resolve_url('admin-usage')}?team={team.slug}")


@require_safe
@signed_in
def audit(request: StudioRequest) -> HttpResponse:
    """Who did what: newest first, keyset pages by `?before=`, `?who=` one person."""
    team = administered_team(request)
    lines = Activity.objects.filter(team=team).select_related("actor", "campaign", "asset").order_by("-pk")
    people = User.objects.filter(memberships__team=team).order_by("name")
    who = request.GET.get("who", "")
    who = who if who in {str(person.pk) for person in people} else ""
    if who:
        lines = lines.filter(actor_id=int(who))
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 18:
        lines = lines.filter(pk__lt=before)
    shown = list(lines[:LINES + 1])
    return page(request, "studio/admin_audit.html", {
        "nav": "admin", "tab": "audit", "teams": administered(request), "team": team, "people": people, "who": who,
        "more": shown[LINES - 1].pk if len(shown) > LINES else None,
        "lines": [{"line": line, "text": activity_text(line, localname(line.campaign) if line.campaign else "")}
                  for line in shown[:LINES]]}, partial="studio/_audit_rows.html")
