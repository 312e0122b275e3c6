"""Pictures that people upload, or take over from a finished one, to start a render from."""

from __future__ import annotations

from typing import Self
from uuid import uuid4

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q

from studio.domain.guides import InputRole
from studio.models.accounts import Team, User
from studio.models.base import choices, one_of
from studio.models.campaigns import Campaign, sized


class RenderInputQuerySet(models.QuerySet["RenderInput"]):
    """Who sees which."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The inputs of visible campaigns."""
        return self.filter(campaign__in=Campaign.objects.visible_to(user))


class RenderInput(models.Model):
    """A picture, a mask or a control map, stored as PNG. `used_at`: last uploaded, or rendered with."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, models.PROTECT, related_name="inputs")
    team = models.ForeignKey(Team, models.PROTECT, related_name="inputs")
    uploaded_by = models.ForeignKey(User, models.PROTECT, related_name="inputs")
    role = models.CharField(max_length=10, choices=choices(InputRole))
    file_key = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    size_bytes = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField()

    objects = RenderInputQuerySet.as_manager()

    class Meta:
        indexes = [models.Index(fields=["used_at"], name="renderinput_used"),
                   models.Index(fields=["file_key"], name="renderinput_file")]
        constraints = [
            models.UniqueConstraint(fields=["campaign", "role", "sha256"], name="renderinput_one_per_content"),
            one_of("role", InputRole, "renderinput_role_is_known"),
            sized("renderinput"),
            models.CheckConstraint(condition=Q(size_bytes__gt=0), name="renderinput_is_not_empty"),
            models.CheckConstraint(condition=Q(sha256__regex=r"^[0-9a-f]{64}$"), name="renderinput_sha256_is_hex"),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.sha256[:12]}"
