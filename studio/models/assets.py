"""Finished pictures."""

from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q

from studio.domain.states import AssetStatus, asset_sources
from studio.models.accounts import User
from studio.models.base import choices, one_of
from studio.models.campaigns import AdFormat, Campaign, sized
from studio.models.renders import RenderJob


class AssetQuerySet(models.QuerySet["Asset"]):
    """Who sees which pictures, and their moves."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The pictures of visible campaigns."""
        return self.filter(campaign__in=Campaign.objects.visible_to(user))

    def for_tiles(self) -> Self:
        """With everything a tile shows, in a fixed number of queries."""
        return self.select_related("job__batch__requested_by", "ad_format", "author", "campaign__team")

    def move(self, pk: int, to: AssetStatus, **fields: object) -> bool:
        """Move one asset; False means somebody moved it first."""
        return self.filter(pk=pk, status__in=asset_sources(to)).update(status=to, **fields) == 1


class Asset(models.Model):
    """A delivered picture: exactly `width` x `height` pixels, its files, and its recipe."""

    job = models.OneToOneField(RenderJob, models.PROTECT, related_name="asset")
    campaign = models.ForeignKey(Campaign, models.PROTECT, related_name="assets")
    author = models.ForeignKey(User, models.PROTECT, related_name="assets")
    ad_format = models.ForeignKey(AdFormat, models.PROTECT, null=True, related_name="assets")
    status = models.CharField(max_length=10, choices=choices(AssetStatus), default=AssetStatus.DRAFT)
    picked = models.BooleanField(default=False)
    file_key = models.CharField(max_length=200, unique=True)
    thumb_key = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    alt = models.TextField(blank=True)
    recipe = models.JSONField()
    #: Rules of its format that it breaks, by code; people decide what to do about them.
    flags = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = AssetQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["campaign", "-id"], name="asset_newest_in_campaign")]
        constraints = [
            one_of("status", AssetStatus, "asset_status_is_known"),
            sized("asset"),
            models.CheckConstraint(condition=Q(sha256__regex=r"^[0-9a-f]{64}$"), name="asset_sha256_is_hex"),
        ]

    def __str__(self) -> str:
        return self.job.frame

    @property
    def ratio(self) -> float:
        """Width over height, for layout."""
        return round(self.width / self.height, 4)
