"""Campaigns and the ad formats they deliver."""

from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models

from studio.domain.formats import MAX_SIDE, MIN_SIDE
from studio.models.accounts import Team, User
from studio.models.base import BilingualName, named


def sized(prefix: str) -> models.CheckConstraint:
    """Both sides are sizes that can be rendered, in pixels."""
    return models.CheckConstraint(
        condition=models.Q(width__range=(MIN_SIDE, MAX_SIDE), height__range=(MIN_SIDE, MAX_SIDE)),
        name=f"{prefix}_size_can_be_rendered")


class AdFormat(BilingualName):
    """An exact picture size (pixels) that a platform asks for; `max_bytes` 0 for no limit."""

    key = models.SlugField(primary_key=True)
    platform = models.CharField(max_length=40)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    max_bytes = models.PositiveIntegerField(default=0)
    note = models.CharField(max_length=200, blank=True)
    confidence = models.CharField(max_length=1, choices=[("H", "High"), ("M", "Medium"), ("L", "Low")])
    checked_on = models.DateField()
    active = models.BooleanField(default=True)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["position", "key"]
        constraints = [named("adformat"), sized("adformat")]


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
    """A team's piece of work: pictures in several formats by a date."""

    class Status(models.TextChoices):
        """Where the campaign stands."""

        PLANNING = "planning"
        RUNNING = "running"
        ARCHIVED = "archived"

    team = models.ForeignKey(Team, models.PROTECT, related_name="campaigns")
    slug = models.SlugField(unique=True)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.RUNNING)
    deadline = models.DateField(null=True, blank=True)
    formats = models.ManyToManyField(AdFormat, blank=True, related_name="campaigns")
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
        ]
