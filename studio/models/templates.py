"""Prompt templates with their versions, the products they speak of, and what a person was writing."""

from __future__ import annotations

from typing import Self

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q

from studio.domain.templating import TemplateStatus, TemplateText
from studio.domain.variables import Variable
from studio.models.accounts import Team, User
from studio.models.base import BilingualName, choices, named, one_of
from studio.models.campaigns import Campaign


class PromptTemplateQuerySet(models.QuerySet["PromptTemplate"]):
    """Who sees which templates."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """Those of the person's teams and those shared with all; none for a stranger."""
        if not user.is_authenticated:
            return self.none()
        if user.is_superuser:
            return self
        return self.filter(Q(team__in=Team.objects.filter(memberships__user=user)) | Q(shared=True))


class PromptTemplate(BilingualName):
    """A reusable prompt. `shared`: all teams may use it; only its own changes it."""

    team = models.ForeignKey(Team, models.PROTECT, related_name="templates")
    slug = models.SlugField(unique=True)
    shared = models.BooleanField(default=False)
    created_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)

    objects = PromptTemplateQuerySet.as_manager()

    class Meta:
        ordering = ["name_en", "name_zh", "pk"]
        constraints = [named("prompttemplate")]


class TemplateVersionQuerySet(models.QuerySet["TemplateVersion"]):
    """Which versions are offered."""

    def usable_in(self, campaign: Campaign) -> Self:
        """The published ones of the campaign's team, and those shared with all, by name."""
        offered = Q(template__team=campaign.team_id) | Q(template__shared=True)
        return self.filter(offered, status=TemplateStatus.PUBLISHED, template__archived_at=None).select_related(
            "template").order_by("template__name_en", "template__name_zh", "template")


class TemplateVersion(models.Model):
    """One state of a template's text. `variables` is a list of `Variable.as_json`.

    `settings` holds what the composer takes from the template ("steps", "sampler", "guidance",
    "negative", "formats", "count"; each optional), `locked` the names of those, and "text", that
    whoever uses the template can't change.
    """

    template = models.ForeignKey(PromptTemplate, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=choices(TemplateStatus), default=TemplateStatus.DRAFT)
    text_zh = models.TextField(blank=True)
    text_en = models.TextField(blank=True)
    variables = models.JSONField(default=list)
    settings = models.JSONField(default=dict)
    locked = models.JSONField(default=list)
    note = models.CharField(max_length=200, blank=True)
    edited_by = models.ForeignKey(User, models.PROTECT, related_name="+")
    edited_at = models.DateTimeField()
    published_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    published_at = models.DateTimeField(null=True)

    objects = TemplateVersionQuerySet.as_manager()

    class Meta:
        ordering = ["template", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["template", "number"], name="templateversion_number_in_template"),
            models.UniqueConstraint(
                fields=["template"], condition=Q(status="draft"), name="templateversion_one_draft"),
            models.UniqueConstraint(
                fields=["template"], condition=Q(status="published"), name="templateversion_one_published"),
            one_of("status", TemplateStatus, "templateversion_status_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.template} v{self.number}"

    @property
    def text(self) -> TemplateText:
        """As the domain reads it. Raises Invalid when the stored variables can't be read."""
        return TemplateText(self.text_zh, self.text_en, tuple(Variable.from_json(one) for one in self.variables))


class Product(BilingualName):
    """Something a team sells, for variables of the kind "product"."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="products")
    sku = models.CharField(max_length=60)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["sku"]
        constraints = [
            named("product"),
            models.UniqueConstraint(fields=["team", "sku"], name="product_sku_in_team"),
            models.CheckConstraint(condition=~Q(sku=""), name="product_has_a_sku"),
        ]


class Draft(models.Model):
    """What a person has in the composer of a campaign: its fields as the form posts them."""

    user = models.ForeignKey(User, models.CASCADE, related_name="drafts")
    campaign = models.ForeignKey(Campaign, models.CASCADE, related_name="drafts")
    fields = models.JSONField(default=dict)
    saved_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "campaign"], name="draft_one_a_campaign")]

    def __str__(self) -> str:
        return f"{self.user}: {self.campaign}"
