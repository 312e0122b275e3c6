"""Who did what, when: written with every change, never changed."""

from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models

from studio.models.accounts import Team, User
from studio.models.assets import Asset
from studio.models.campaigns import Campaign


class ActivityQuerySet(models.QuerySet["Activity"]):
    """Who sees which lines."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The lines of the person's teams."""
        if not user.is_authenticated:
            return self.none()
        return self if user.is_superuser else self.filter(team__in=Team.objects.filter(memberships__user=user))


class Activity(models.Model):
    """One line. `verb` is past tense with its noun, such as `asset.approved`; `data` fills its text."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="activity")
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    verb = models.CharField(max_length=40)
    campaign = models.ForeignKey(Campaign, models.CASCADE, null=True, related_name="activity")
    asset = models.ForeignKey(Asset, models.CASCADE, null=True, related_name="activity")
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ActivityQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["team", "-id"], name="activity_newest_in_team")]

    def __str__(self) -> str:
        return f"{self.verb} {self.created_at:%F %T}"
