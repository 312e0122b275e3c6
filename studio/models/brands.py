"""Brand kits: what a brand's pictures may say and show, and what is laid over them on delivery."""

from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q

from studio.domain.terms import TermAction
from studio.models.accounts import Team, User
from studio.models.base import BilingualName, choices, named, one_of


class OfTeamQuerySet(models.QuerySet["BrandKit"]):
    """Who sees which kits."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of the person's teams; all for a superuser, none for a stranger."""
        if not user.is_authenticated:
            return self.none()
        return self if user.is_superuser else self.filter(team__in=Team.objects.filter(memberships__user=user))


class BrandKit(BilingualName):
    """A team's brand. `palette` is a list of {"zh", "en", "hex"}; `loras` one of {"name", "weight"}.

    The style phrases are added to the prompts of campaigns with this kit.
    """

    team = models.ForeignKey(Team, models.PROTECT, related_name="brand_kits")
    slug = models.SlugField(unique=True)
    style_zh = models.CharField(max_length=300, blank=True)
    style_en = models.CharField(max_length=300, blank=True)
    palette = models.JSONField(default=list)
    loras = models.JSONField(default=list)
    created_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = OfTeamQuerySet.as_manager()

    class Meta:
        ordering = ["name_en", "name_zh", "pk"]
        constraints = [named("brandkit")]


class BrandLogo(models.Model):
    """A logo file (PNG). `clear` and `share` are parts of the picture's shorter side: free space around, and width."""

    class Corner(models.TextChoices):
        """Where it goes when nobody says otherwise."""

        TOP_LEFT = "top-left"
        TOP_RIGHT = "top-right"
        BOTTOM_LEFT = "bottom-left"
        BOTTOM_RIGHT = "bottom-right"

    kit = models.ForeignKey(BrandKit, models.CASCADE, related_name="logos")
    name = models.CharField(max_length=60)
    file_key = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    corner = models.CharField(max_length=12, choices=Corner.choices, default=Corner.BOTTOM_RIGHT)
    clear = models.FloatField(default=0.04)
    share = models.FloatField(default=0.22)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["kit", "sha256"], name="brandlogo_once_a_kit"),
            models.CheckConstraint(condition=Q(corner__in=["top-left", "top-right", "bottom-left", "bottom-right"]),
                                   name="brandlogo_corner_is_known"),
            models.CheckConstraint(condition=Q(clear__range=(0.0, 0.25)), name="brandlogo_clear_in_range"),
            models.CheckConstraint(condition=Q(share__range=(0.05, 0.9)), name="brandlogo_share_in_range"),
        ]

    def __str__(self) -> str:
        return self.name


class BrandFont(models.Model):
    """A font file for headlines, with what was said about its licence when it was uploaded."""

    class Script(models.TextChoices):
        """Which letters it has."""

        LATIN = "latin"
        CJK = "cjk"
        BOTH = "both"

    kit = models.ForeignKey(BrandKit, models.CASCADE, related_name="fonts")
    family = models.CharField(max_length=80)
    script = models.CharField(max_length=5, choices=Script.choices)
    licence = models.CharField(max_length=300)
    file_key = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["kit", "sha256"], name="brandfont_once_a_kit"),
            models.CheckConstraint(condition=Q(script__in=["latin", "cjk", "both"]), name="brandfont_script_is_known"),
            models.CheckConstraint(condition=~Q(licence=""), name="brandfont_has_a_licence"),
        ]

    def __str__(self) -> str:
        return self.family


class Term(models.Model):
    """Words that must not appear in prompts' variables and in picture text; without a kit, for all teams.

    Those without a kit are the absolute terms that advertising law forbids; `source` says where each comes from.
    """

    kit = models.ForeignKey(BrandKit, models.CASCADE, null=True, related_name="terms")
    text = models.CharField(max_length=60)
    action = models.CharField(max_length=5, choices=choices(TermAction), default=TermAction.WARN)
    source = models.CharField(max_length=200, blank=True)
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["text"]
        constraints = [
            models.UniqueConstraint(fields=["kit", "text"], name="term_once_a_kit"),
            models.UniqueConstraint(fields=["text"], condition=Q(kit__isnull=True), name="term_once_for_all"),
            models.CheckConstraint(condition=~Q(text=""), name="term_has_a_text"),
            one_of("action", TermAction, "term_action_is_known"),
        ]

    def __str__(self) -> str:
        return self.text
