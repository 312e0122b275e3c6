"""The contact sheet: filter, pick, submit, look closely."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django.db.models import Count
from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, resolve_url
from django.utils import timezone
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST, require_safe

from studio import permissions
from studio.domain.states import AssetStatus
from studio.models import AdFormat, Asset, Campaign
from studio.models.assets import AssetQuerySet
from studio.services import reviews
from studio.web import campaign_bar
from studio.web.http import StudioRequest, back, page, say, signed_in
from studio.web.views.studio import visible_campaign

PAGE = 60
#: Values of `?status=` and what they show.
FILTERS = ("all", "picked", *AssetStatus)


def _number(text: str) -> int | None:
    """A row number from the address; None for anything else."""
    return int(text) if text.isdecimal() and len(text) < 18 else None


def _filtered(campaign: Campaign, status: str, format_key: str) -> AssetQuerySet:
    found = Asset.objects.filter(campaign=campaign).for_tiles().order_by("-pk")
    if status == "picked":
        found = found.filter(picked=True, status__in=[AssetStatus.DRAFT, AssetStatus.CHANGES])
    elif status != "all":
        found = found.filter(status=status)
    return found.filter(ad_format=format_key) if format_key else found


def _context(request: StudioRequest, campaign: Campaign) -> dict[str, Any]:
    status = request.GET.get("status", "all")
    status = status if status in FILTERS else "all"
    formats = list(AdFormat.objects.filter(assets__campaign=campaign).annotate(used=Count("assets")).distinct())
    format_key = request.GET.get("format", "")
    format_key = format_key if format_key in {f.key for f in formats} else ""
    found = _filtered(campaign, status, format_key)
    before = _number(request.GET.get("before", ""))
    shown = list((found.filter(pk__lt=before) if before else found)[:PAGE + 1])
    more = shown[PAGE - 1].pk if len(shown) > PAGE else None
    shown = shown[:PAGE]
    days = [(day, list(part)) for day, part in groupby(shown, key=lambda a: timezone.localdate(a.created_at))]
    return {
        "nav": "gallery", "tab": "gallery", "campaign": campaign, "days": days, "more": more,
        "status": status, "format": format_key, "formats": formats, "today": timezone.localdate(),
        "detail": _detail(request, campaign, [asset.pk for asset in shown]),
        "may_pick": permissions.decide(request.user, "asset.pick", campaign),
        "may_submit": permissions.decide(request.user, "asset.submit", campaign),
        **campaign_bar.counts(campaign)}


def _detail(request: StudioRequest, campaign: Campaign, order: list[int]) -> dict[str, Any] | None:
    """The frame whose panel is open (`?frame=` its id), with its neighbours in the shown order."""
    pk = _number(request.GET.get("frame", ""))
    if pk is None:
        return None
    asset = get_object_or_404(Asset.objects.filter(campaign=campaign).for_tiles(), pk=pk)
    place = order.index(pk) if pk in order else -1
    return {
        "asset": asset, "reviews": asset.reviews.select_related("submitted_by", "decided_by").order_by("-round"),
        "previous": order[place - 1] if place > 0 else None,
        "next": order[place + 1] if 0 <= place < len(order) - 1 else None,
        "stages": stages(asset)}


def stages(asset: Asset) -> list[dict[str, Any]]:
    """The timings of the recipe in order: key, milliseconds, for the bar and its legend."""
    timings = asset.recipe.get("timings", {})
    found = []
    for key in ("queue", "text", "steps", "decode", "encode", "store"):
        value = timings.get(key, 0)
        parts = value if isinstance(value, list) else [value]
        found.append({"key": key, "parts": parts, "ms": round(sum(parts), 1)})
    return found


@require_safe
@signed_in
def gallery(request: StudioRequest, slug: str) -> HttpResponse:
    """A campaign's pictures, newest first; keyset pages by `?before=`."""
    campaign = visible_campaign(request, slug)
    partial = "studio/_gallery_more.html" if "before" in request.GET else "studio/_gallery_live.html"
    return page(request, "studio/gallery.html", _context(request, campaign), partial=partial)


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
    if request.htmx:
        return page(request, "studio/_asset_tile.html", {
            "asset": asset, "campaign": asset.campaign,
            "may_pick": permissions.decide(request.user, "asset.pick", asset)})
    return HttpResponseRedirect(back(request, resolve_url("gallery", asset.campaign.slug)))


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
        chosen = list(found.filter(picked=True, status__in=[AssetStatus.DRAFT, AssetStatus.CHANGES]))
    reviews.submit(user=request.user, assets=chosen)
    undo = resolve_url("withdraw", chosen[0].pk) if len(chosen) == 1 else ""
    say(request, ngettext(
        "%(count)d picture is in review now.", "%(count)d pictures are in review now.", len(chosen),
    ) % {"count": len(chosen)}, undo=undo)
    target = back(request, resolve_url("gallery", slug))
    return HttpResponse(status=204, headers={"HX-Redirect": target}) if request.htmx else HttpResponseRedirect(target)
