"""Rounds of review."""

from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import F, Q

from studio.domain.states import ReviewStatus
from studio.models.accounts import User
from studio.models.assets import Asset
from studio.models.base import choices, one_of
from studio.models.campaigns import Campaign


class ReviewQuerySet(models.QuerySet["Review"]):
    """Who sees which reviews."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The reviews of visible campaigns."""
        return self.filter(asset__campaign__in=Campaign.objects.visible_to(user))

    def open(self) -> Self:
        """Waiting for a decision, oldest first."""
        return self.filter(status=ReviewStatus.OPEN).order_by("created_at", "pk")


class Review(models.Model):
    """One submission of one asset and the decision on it, bound to the picture's bytes."""

    asset = models.ForeignKey(Asset, models.PROTECT, related_name="reviews")
    round = models.PositiveSmallIntegerField()
    sha256 = models.CharField(max_length=64)
    author = models.ForeignKey(User, models.PROTECT, related_name="+")
    submitted_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=choices(ReviewStatus), default=ReviewStatus.OPEN)
    decided_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    comment = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    decided_at = models.DateTimeField(null=True)

    objects = ReviewQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["asset"], condition=Q(status="open"), name="review_one_open_per_asset"),
            models.UniqueConstraint(fields=["asset", "round"], name="review_rounds_count_up"),
            one_of("status", ReviewStatus, "review_status_is_known"),
            models.CheckConstraint(
                condition=Q(status="open", decided_by__isnull=True, decided_at__isnull=True)
                | ~Q(status="open") & Q(decided_by__isnull=False, decided_at__isnull=False),
                name="review_decided_iff_closed"),
            models.CheckConstraint(
                condition=~Q(status__in=["approved", "changes"]) | Q(decided_by__isnull=True)
                | ~Q(decided_by=F("author")),
                name="review_author_never_decides"),
            models.CheckConstraint(condition=~Q(status="changes", comment=""), name="review_changes_need_a_comment"),
        ]

    def __str__(self) -> str:
        return f"{self.asset} r{self.round} {self.status}"
