"""The contact sheet: filter, pick, submit, look closely."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from django.db.models import Count, Max, Min, Q
from django.db.models.functions import TruncDate
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, resolve_url
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.views.decorators.http import require_POST, require_safe

from studio import permissions
from studio.domain.states import AssetStatus
from studio.models import AdFormat, Asset, Campaign
from studio.models.assets import AssetQuerySet
from studio.services import renders, reviews
from studio.web import again as again_texts
from studio.web import campaign_bar, model
from studio.web.http import StudioRequest, back, page, say, shown_page, signed_in
from studio.web.views.studio import visible_campaign

PAGE = 60
#: Most pictures one live refresh brings back, after "Load more".
MOST = 600
#: `?format=` of pictures in a size of one's own.
CUSTOM = "custom"


@dataclass(frozen=True, slots=True)
class Day:
    """The shown pictures of one day, newest first. The numbers are those of the whole day under the same filters."""

    date: date
    assets: list[Asset]
    count: int
    batches: tuple[int, int]


def _number(text: str) -> int | None:
    """A row number from the address; None for anything else."""
    return int(text) if text.isdecimal() and len(text) < 18 else None


def _in_format(campaign: Campaign, format_key: str) -> AssetQuerySet:
    found = Asset.objects.filter(campaign=campaign)
    if format_key == CUSTOM:
        return found.filter(ad_format=None)
    return found.filter(ad_format=format_key) if format_key else found


#: Values of `?status=` and what they show.
FILTERS: dict[str, Q] = {
    "all": Q(),
    "picked": Q(picked=True, status__in=[AssetStatus.DRAFT, AssetStatus.CHANGES]),
    **{str(status): Q(status=status) for status in
       (AssetStatus.IN_REVIEW, AssetStatus.APPROVED, AssetStatus.CHANGES, AssetStatus.DRAFT)},
}


def _shown(request: StudioRequest, found: AssetQuerySet) -> tuple[list[Asset], int | None]:
    """The pictures of this answer and, if there are older ones, the key to go on from.

    `?before=` goes on below that key; `?until=` repeats everything down to that key.
    """
    before, until = (_number(request.GET.get(name, "")) for name in ("before", "until"))
    limit = PAGE
    if before:
        found = found.filter(pk__lt=before)
    elif until:
        limit = min(MOST, max(PAGE, found.filter(pk__gte=until).count()))
    shown = list(found[:limit + 1])
    return shown[:limit], shown[limit - 1].pk if len(shown) > limit else None


def _by_day(found: AssetQuerySet, assets: list[Asset]) -> list[Day]:
    """`assets`, a part of `found`, by the day they were made; one query."""
    parts = [(day, list(part)) for day, part in groupby(assets, key=lambda a: timezone.localdate(a.created_at))]
    on_days = found.annotate(day=TruncDate("created_at")).filter(day__in=[day for day, _part in parts]).order_by()
    numbers = on_days.values("day").annotate(
        count=Count("pk"), first=Min("job__batch__number"), last=Max("job__batch__number"))
    by_day = {row["day"]: row for row in numbers}
    return [Day(day, part, by_day[day]["count"], (by_day[day]["first"], by_day[day]["last"])) for day, part in parts]


def _context(request: StudioRequest, campaign: Campaign) -> dict[str, Any]:
    formats = list(AdFormat.objects.filter(assets__campaign=campaign).annotate(used=Count("assets")).distinct())
    format_key = request.GET.get("format", "")
    format_key = format_key if format_key in {CUSTOM, *(f.key for f in formats)} else ""
    status = request.GET.get("status", "all")
    status = status if status in FILTERS else "all"
    in_format = _in_format(campaign, format_key)
    counted = in_format.aggregate(**{f"n_{key}": Count("pk", filter=rule) for key, rule in FILTERS.items()})
    numbers = campaign_bar.counts(campaign)
    found = in_format.filter(FILTERS[status])
    assets, more = _shown(request, found.for_tiles().order_by("-pk"))
    return {
        "nav": "gallery", "tab": "gallery", "campaign": campaign, "days": _by_day(found, assets), "more": more,
        "before": _number(request.GET.get("before", "")),
        "status": status, "format": format_key, "formats": formats,
        "custom_used": numbers["asset_count"] - sum(f.used for f in formats),
        "filters": [(key, counted[f"n_{key}"]) for key in FILTERS],
        "detail": _detail(request, campaign, [asset.pk for asset in assets]),
        "may_pick": permissions.decide(request.user, "asset.pick", campaign),
        "may_submit": permissions.decide(request.user, "asset.submit", campaign),
        "oob": bool(request.htmx), **numbers}


def _more_context(request: StudioRequest, campaign: Campaign) -> dict[str, Any]:
    """The next pictures; `joins` is true when the first of them belong to the day that is shown last."""
    # On the open page they continue the sheet: their links go by its address.
    context = _context(request, campaign) | {"oob": False, "before": None}
    last = Asset.objects.filter(campaign=campaign, pk=_number(request.GET["before"]) or 0).first()
    days = context["days"]
    return context | {"joins": bool(last and days and timezone.localdate(last.created_at) == days[0].date)}


def _detail(request: StudioRequest, campaign: Campaign, order: list[int]) -> dict[str, Any] | None:
    """The frame whose panel is open (`?frame=` its id), with its neighbours in the shown order."""
    pk = _number(request.GET.get("frame", ""))
    if pk is None:
        return None
    found = Asset.objects.filter(campaign=campaign).for_tiles().select_related(
        "job__batch__again_of__job__batch", "job__batch__source", "job__batch__mask", "job__batch__control_input")
    asset = get_object_or_404(found, pk=pk)
    place = order.index(pk) if pk in order else -1
    bar = stages(asset)
    return {
        "asset": asset,
        "rounds": list(asset.reviews.select_related("submitted_by", "decided_by").order_by("-round")),
        "previous": order[place - 1] if place > 0 else None,
        "next": order[place + 1] if 0 <= place < len(order) - 1 else None,
        "stages": bar[1:], "waited": bar[0]["ms"], "took": sum(stage["ms"] for stage in bar[1:]),
        "may_withdraw": permissions.decide(request.user, "asset.withdraw", asset),
        "may_render": permissions.decide(request.user, "render.create", campaign),
        "forecast": again_texts.forecast(asset), "outcome": again_texts.outcome(asset)}


def stages(asset: Asset) -> list[dict[str, Any]]:
    """The timings of the recipe in order: key, milliseconds, for the bar and its legend."""
    timings = asset.recipe.get("timings", {})
    found = []
    for key in ("queue", "text", "prepare", "steps", "decode", "encode", "store"):
        value = timings.get(key, 0)
        parts = value if isinstance(value, list) else [value]
        if key == "prepare" and not value:
            continue  # made before this stage was measured on its own
        found.append({"key": key, "parts": parts, "ms": round(sum(parts), 1)})
    return found


@require_safe
@signed_in
def gallery(request: StudioRequest, slug: str) -> HttpResponse:
    """A campaign's pictures, newest first; keyset pages by `?before=`."""
    campaign = visible_campaign(request, slug)
    if "before" in request.GET and request.htmx.target == "more":
        return page(request, "studio/_gallery_more.html", _more_context(request, campaign))
    return page(request, "studio/gallery.html", _context(request, campaign), partial="studio/_gallery_live.html")


@require_safe
@signed_in
def gallery_home(request: StudioRequest) -> HttpResponse:
    """The gallery of the campaign worked on last."""
    return _latest(request, "gallery")


@require_safe
@signed_in
def create_home(request: StudioRequest) -> HttpResponse:
    """The studio of the campaign worked on last."""
    return _latest(request, "studio")


def _latest(request: StudioRequest, name: str) -> HttpResponse:
    campaigns = Campaign.objects.visible_to(request.user).exclude(status=Campaign.Status.ARCHIVED)
    mine = campaigns.filter(batches__requested_by=request.user).order_by("-batches__pk").first()
    campaign = mine or campaigns.first()
    return redirect(name, campaign.slug) if campaign else redirect("home")


@require_POST
@signed_in
def pick(request: StudioRequest, pk: int) -> HttpResponse:
    """Pick or unpick one picture."""
    asset = get_object_or_404(Asset.objects.visible_to(request.user).for_tiles(), pk=pk)
    reviews.pick(user=request.user, asset=asset, picked=request.POST.get("picked") == "1")
    if request.htmx:  # the tile, the numbers and the panel follow
        return HttpResponse(status=204, headers={"HX-Trigger": "gallery:refresh"})
    return HttpResponseRedirect(back(request, resolve_url("gallery", asset.campaign.slug)))


@require_POST
@signed_in
def again(request: StudioRequest, pk: int) -> HttpResponse:
    """Render a finished picture once more, exactly as it was."""
    asset = get_object_or_404(Asset.objects.visible_to(request.user).for_tiles(), pk=pk)
    batch = renders.again(
        user=request.user, asset=asset, card=model.required_card(), today=timezone.localdate())
    say(request, gettext("Frame %(frame)s is rendered again, as batch %(batch)d.") % {
        "frame": asset.job.frame, "batch": batch.number})
    return HttpResponseRedirect(resolve_url("studio", asset.campaign.slug))


@require_POST
@signed_in
def submit(request: StudioRequest, slug: str) -> HttpResponse:
    """Submit the chosen pictures (`asset`, several), or with none named all picked ones."""
    campaign = visible_campaign(request, slug)
    found = Asset.objects.filter(campaign=campaign).for_tiles()
    if "asset" in request.POST:
        ids = [number for text in request.POST.getlist("asset")[:500] if (number := _number(text)) is not None]
        chosen = list(found.filter(pk__in=ids))
    else:
        chosen = list(found.filter(FILTERS["picked"]))
    reviews.submit(user=request.user, assets=chosen)
    undo = resolve_url("withdraw", chosen[0].pk) if len(chosen) == 1 else ""
    say(request, ngettext(
        "%(count)d picture is in review now.", "%(count)d pictures are in review now.", len(chosen),
    ) % {"count": len(chosen)}, undo=undo)
    target = back(request, resolve_url("gallery", slug))
    if request.htmx:  # the sheet may show other filters than when its form was written
        target = shown_page(request.htmx) or target
        return HttpResponse(status=204, headers={"HX-Redirect": target})
    return HttpResponseRedirect(target)
