"""One decision at a time."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, resolve_url
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from studio import permissions
from studio.domain.errors import Invalid
from studio.domain.states import AssetStatus
from studio.models import Asset, Review
from studio.services import brands, reviews
from studio.web import campaign_bar
from studio.web.http import StudioRequest, back, page, say, signed_in
from studio.web.texts import error_text

QUEUE_SHOWN = 60


def _queue(request: StudioRequest) -> list[Review]:
    """What waits for a decision in the person's teams, oldest first."""
    return list(Review.objects.visible_to(request.user).open().select_related(
        "asset__job__batch", "asset__campaign__team", "asset__ad_format", "submitted_by")[:QUEUE_SHOWN])


def _next(request: StudioRequest, after: int | None) -> int | None:
    """The asset to decide on next: after `after` in the queue, not one's own if there is another."""
    waiting = _queue(request)
    order = [review.asset for review in waiting]
    places = [asset.pk for asset in order]
    start = places.index(after) + 1 if after in places else 0
    turned = order[start:] + order[:start]
    able = [asset.pk for asset in turned if permissions.decide(request.user, "asset.review", asset)]
    able = [pk for pk in able if pk != after]
    return able[0] if able else None


@require_safe
@signed_in
def queue(request: StudioRequest) -> HttpResponse:
    """Straight to the first picture that waits for this person, or a page that says nothing does."""
    first = _next(request, None)
    if first is not None:
        return redirect("review", first)
    return page(request, "studio/review_empty.html", {"nav": "review", "waiting": _queue(request)})


def _context(request: StudioRequest, asset: Asset, error: str = "", comment: str = "") -> dict[str, Any]:
    waiting = _queue(request)
    places = [review.asset_id for review in waiting]
    place = places.index(asset.pk) if asset.pk in places else None
    rounds = list(asset.reviews.select_related("submitted_by", "decided_by").order_by("-round"))
    return {
        "nav": "review", "tab": "review", "campaign": asset.campaign, "asset": asset, "waiting": waiting,
        "place": place + 1 if place is not None else None, "many": len(waiting) == QUEUE_SHOWN,
        "previous": places[place - 1] if place else None,
        # From a picture that is not in the queue, on to the first that is.
        "next": next(iter(places[place + 1 if place is not None else 0:]), None),
        "rounds": rounds, "last": rounds[0] if rounds else None,
        "may_review": permissions.decide(request.user, "asset.review", asset),
        "may_withdraw": permissions.decide(request.user, "asset.withdraw", asset),
        "in_review": asset.status == AssetStatus.IN_REVIEW,
        "careful": [one.found for one in brands.findings_of(asset.job.batch)],
        "decided": asset.status in (AssetStatus.APPROVED, AssetStatus.CHANGES),
        "error": error, "comment": comment, **campaign_bar.counts(asset.campaign)}


def _asset(request: StudioRequest, pk: int) -> Asset:
    return get_object_or_404(Asset.objects.visible_to(request.user).for_tiles(), pk=pk)


@require_safe
@signed_in
def review(request: StudioRequest, pk: int) -> HttpResponse:
    """One picture, its history, and the decision."""
    return page(request, "studio/review.html", _context(request, _asset(request, pk)),
                partial="studio/_review_live.html")


@require_POST
@signed_in
def approve(request: StudioRequest, pk: int) -> HttpResponse:
    """Approve, then on to the next."""
    asset = _asset(request, pk)
    reviews.approve(user=request.user, asset=asset, comment=request.POST.get("comment", ""))
    return _decided(request, asset, gettext("Frame %(frame)s approved.") % {"frame": asset.job.frame})


@require_POST
@signed_in
def request_changes(request: StudioRequest, pk: int) -> HttpResponse:
    """Send back with a comment, then on to the next. Without a comment the page says so at the field."""
    asset = _asset(request, pk)
    comment = request.POST.get("comment", "")
    try:
        reviews.request_changes(user=request.user, asset=asset, comment=comment)
    except Invalid as error:
        if request.htmx:
            raise  # a toast says it; the page keeps what was typed
        return page(request, "studio/review.html", _context(request, asset, error_text(error), comment), status=422)
    text = gettext("Frame %(frame)s sent back with your comment.") % {"frame": asset.job.frame}
    return _decided(request, asset, text)


def _decided(request: StudioRequest, asset: Asset, text: str) -> HttpResponse:
    say(request, text, undo=resolve_url("reopen", asset.pk))
    onward = _next(request, asset.pk)
    target = resolve_url("review", onward) if onward else resolve_url("review-queue")
    if request.htmx:
        return HttpResponse(status=204, headers={"HX-Redirect": target})
    return HttpResponseRedirect(target)


@require_POST
@signed_in
def withdraw(request: StudioRequest, pk: int) -> HttpResponse:
    """Take a picture out of review."""
    asset = _asset(request, pk)
    reviews.withdraw(user=request.user, asset=asset)
    say(request, gettext("Frame %(frame)s is out of review.") % {"frame": asset.job.frame})
    return HttpResponseRedirect(back(request, resolve_url("gallery", asset.campaign.slug)))


@require_POST
@signed_in
def reopen(request: StudioRequest, pk: int) -> HttpResponse:
    """Undo a decision."""
    asset = _asset(request, pk)
    reviews.reopen(user=request.user, asset=asset)
    say(request, gettext("Frame %(frame)s is in review again.") % {"frame": asset.job.frame})
    return HttpResponseRedirect(resolve_url("review", pk))
