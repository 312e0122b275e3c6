"""Pick, submit, withdraw, approve, ask for changes."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from studio import notify, permissions
from studio.domain.errors import Conflict, Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.states import AssetStatus, ReviewStatus
from studio.models import Asset, Review, User
from studio.services import activity

MAX_COMMENT = 2000


def pick(*, user: User, asset: Asset, picked: bool) -> None:
    """Mark a picture as one to submit, or take the mark away."""
    permissions.require(user, "asset.pick", asset)
    with transaction.atomic(durable=True):
        Asset.objects.filter(pk=asset.pk).update(picked=picked)
        notify.asset_changed(asset, asset.status)
    asset.picked = picked


def submit(*, user: User, assets: list[Asset]) -> None:
    """Send pictures to review, all or none; they lose their pick mark.

    Raises Forbidden, Invalid (nothing chosen) or Conflict (one is already in review or approved).
    """
    if not assets:
        raise Invalid(_("Pick at least one picture to submit."), field="assets")
    for asset in assets:
        permissions.require(user, "asset.submit", asset)
    with transaction.atomic(durable=True):
        for asset in sorted(assets, key=lambda asset: asset.pk):  # one order of locks for everybody
            _submit_one(user, asset)
        for campaign in {asset.campaign for asset in assets}:
            activity.record(
                verb="review.submitted", actor=user, campaign=campaign,
                pictures=sum(asset.campaign_id == campaign.pk for asset in assets))


def _submit_one(user: User, asset: Asset) -> None:
    sendable = Asset.objects.filter(status__in=(AssetStatus.DRAFT, AssetStatus.CHANGES))
    if not sendable.move(asset.pk, AssetStatus.IN_REVIEW, picked=False):
        raise Conflict(_("Frame %(frame)s is already in review or approved."), frame=asset.job.frame)
    _open_round(asset, submitted_by=user)


def _open_round(asset: Asset, *, submitted_by: User) -> None:
    last = Review.objects.filter(asset=asset).aggregate(last=Max("round"))["last"] or 0
    Review.objects.create(
        asset=asset, round=last + 1, sha256=asset.sha256, author_id=asset.author_id, submitted_by=submitted_by)
    notify.asset_changed(asset, AssetStatus.IN_REVIEW)


def withdraw(*, user: User, asset: Asset) -> None:
    """Take a picture back out of review, undecided. Raises Forbidden, or Conflict when it is not in review."""
    permissions.require(user, "asset.withdraw", asset)
    _decide(user, asset, AssetStatus.DRAFT, ReviewStatus.WITHDRAWN, "", "review.withdrawn")


def approve(*, user: User, asset: Asset, comment: str = "") -> None:
    """Approve a picture. Raises Forbidden (also for its author), or Conflict when it is not in review."""
    permissions.require(user, "asset.review", asset)
    _decide(user, asset, AssetStatus.APPROVED, ReviewStatus.APPROVED, _cleaned(comment), "review.approved")


def request_changes(*, user: User, asset: Asset, comment: str) -> None:
    """Send a picture back. Raises Forbidden, Invalid (no comment), or Conflict when it is not in review."""
    permissions.require(user, "asset.review", asset)
    comment = _cleaned(comment)
    if not comment:
        raise Invalid(_("Say what should change: a comment is needed."), field="comment")
    _decide(user, asset, AssetStatus.CHANGES, ReviewStatus.CHANGES, comment, "review.changes_requested")


def reopen(*, user: User, asset: Asset) -> None:
    """Undo a decision: the picture waits for review again. Raises Forbidden, or Conflict when undecided."""
    permissions.require(user, "asset.review", asset)
    decided = Asset.objects.filter(status__in=(AssetStatus.APPROVED, AssetStatus.CHANGES))
    with transaction.atomic(durable=True):
        if not decided.move(asset.pk, AssetStatus.IN_REVIEW):
            raise Conflict(_("There is no decision to undo."))
        last = Review.objects.select_related("submitted_by").filter(asset=asset).latest("round")
        _open_round(asset, submitted_by=last.submitted_by)
        activity.record(verb="review.reopened", actor=user, campaign=asset.campaign, asset=asset, frame=asset.job.frame)


def _cleaned(comment: str) -> str:
    comment = comment.replace("\x00", "").strip()
    if len(comment) > MAX_COMMENT:
        raise Invalid(_("A comment has at most %(limit)d characters."), field="comment", limit=MAX_COMMENT)
    return comment


def _decide(user: User, asset: Asset, to: AssetStatus, outcome: ReviewStatus, comment: str, verb: str) -> None:
    with transaction.atomic(durable=True):
        closed = Review.objects.filter(asset=asset, status=ReviewStatus.OPEN).update(
            status=outcome, decided_by=user, decided_at=timezone.now(), comment=comment)
        if not closed or not Asset.objects.move(asset.pk, to):
            raise Conflict(_("Frame %(frame)s is not waiting for review any more."), frame=asset.job.frame)
        activity.record(verb=verb, actor=user, campaign=asset.campaign, asset=asset,
                        frame=asset.job.frame, comment=comment)
        notify.asset_changed(asset, to)
