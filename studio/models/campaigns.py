"""Campaigns and the ad formats they deliver."""

from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models

from studio.domain.formats import MAX_SIDE, MIN_SIDE
from studio.models.accounts import Team, User
from studio.models.base import BilingualName, named
from studio.models.brands import BrandKit


def sized(prefix: str) -> models.CheckConstraint:
    """Both sides are sizes that can be rendered, in pixels."""
    return models.CheckConstraint(
        condition=models.Q(width__range=(MIN_SIDE, MAX_SIDE), height__range=(MIN_SIDE, MAX_SIDE)),
        name=f"{prefix}_size_can_be_rendered")


class AdFormat(BilingualName):
    """An exact picture size (pixels) that a platform asks for; `max_bytes` 0 for no limit.

    `safe_zones` is a list of {"kind": "text" or "covered", "x", "y", "w", "h", "note_zh", "note_en"} in 0–1 of
    the picture: where text should stay, or what the platform's own interface covers.
    """

    class FileType(models.TextChoices):
        """What is delivered."""

        PNG = "png"
        JPEG = "jpeg"
        WEBP = "webp"

    key = models.SlugField(primary_key=True)
    platform = models.CharField(max_length=40)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    max_bytes = models.PositiveIntegerField(default=0)
    file_type = models.CharField(max_length=4, choices=FileType.choices, default=FileType.JPEG)
    safe_zones = models.JSONField(default=list)
    #: The background must be pure white; a picture where it isn't is flagged.
    white_background = models.BooleanField(default=False)
    label_rule = models.CharField(max_length=200, blank=True)
    note = models.CharField(max_length=200, blank=True)
    confidence = models.CharField(max_length=1, choices=[("H", "High"), ("M", "Medium"), ("L", "Low")])
    checked_on = models.DateField()
    active = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "key"]
        constraints = [
            named("adformat"), sized("adformat"),
            models.CheckConstraint(
                condition=models.Q(file_type__in=["png", "jpeg", "webp"]), name="adformat_file_type_is_known"),
        ]


class CampaignQuerySet(models.QuerySet["Campaign"]):
    """Who sees which campaigns; jobs, assets and reviews build on it."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The campaigns of the person's teams; all for a superuser, none for a stranger."""
        if not user.is_authenticated:
            return self.none()
        if user.is_superuser:
            return self
        return self.filter(team__in=Team.objects.filter(memberships__user=user))


class Campaign(BilingualName):
    """A team's piece of work: pictures in several formats by a date. `budget` in pictures; None for no limit."""

    class Status(models.TextChoices):
        """Where the campaign stands."""

        PLANNING = "planning"
        RUNNING = "running"
        ARCHIVED = "archived"

    team = models.ForeignKey(Team, models.PROTECT, related_name="campaigns")
    slug = models.SlugField(unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    starts_on = models.DateField(null=True, blank=True)
    deadline = models.DateField(null=True, blank=True)
    goal = models.TextField(blank=True)
    audience = models.TextField(blank=True)
    message = models.TextField(blank=True)
    dos = models.TextField(blank=True)
    donts = models.TextField(blank=True)
    budget = models.PositiveIntegerField(null=True, blank=True)
    brand_kit = models.ForeignKey(BrandKit, models.PROTECT, null=True, blank=True, related_name="campaigns")
    people = models.ManyToManyField(User, blank=True, related_name="campaigns")
    formats: models.ManyToManyField[AdFormat, CampaignFormat] = models.ManyToManyField(
        AdFormat, through="CampaignFormat", blank=True, related_name="campaigns")
    created_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    batch_count = models.PositiveIntegerField(default=0)
    #: Since when its renders wait on purpose; those already running are finished.
    paused_at = models.DateTimeField(null=True, blank=True)

    objects = CampaignQuerySet.as_manager()

    class Meta:
        ordering = ["deadline", "-created_at"]
        constraints = [
            named("campaign"),
            models.CheckConstraint(
                condition=models.Q(status__in=["planning", "running", "archived"]), name="campaign_status_is_known"),
            models.CheckConstraint(
                condition=models.Q(starts_on__isnull=True) | models.Q(deadline__isnull=True)
                | models.Q(starts_on__lte=models.F("deadline")), name="campaign_starts_before_its_deadline"),
        ]


class CampaignFormat(models.Model):
    """A format that a campaign needs, and how many approved pictures of it."""

    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="needs")
    adformat = models.ForeignKey(AdFormat, models.CASCADE, related_name="needs")
    count = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "studio_campaign_formats"  # it began as a plain many-to-many
        constraints = [
            models.UniqueConstraint(fields=["campaign", "adformat"], name="campaignformat_once_a_campaign"),
            models.CheckConstraint(condition=models.Q(count__gte=1), name="campaignformat_counts_from_1"),
        ]

    def __str__(self) -> str:
        return f"{self.campaign}: {self.count} × {self.adformat}"
