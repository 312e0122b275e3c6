"""Batches of thousands: a sheet of rows, each of which becomes a batch of renders."""

from __future__ import annotations

from typing import Self
from uuid import uuid4

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Q

from studio.domain.spec import MAX_COUNT, MAX_SEED
from studio.domain.states import BulkStatus
from studio.models.accounts import User
from studio.models.base import choices, one_of
from studio.models.campaigns import AdFormat, Campaign
from studio.models.templates import TemplateVersion


class BulkRunQuerySet(models.QuerySet["BulkRun"]):
    """Who sees which runs, and their moves."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The runs of visible campaigns."""
        return self.filter(campaign__in=Campaign.objects.visible_to(user))


class BulkRun(models.Model):
    """An uploaded sheet, or a matrix of values, filled into a template.

    `columns` are the sheet's headers. `mapping` says where each variable's value comes from:
    {"name": {"zh": column or null, "en": column or null, "value": a fixed one or null}}. Rows
    become batches a few at a time, as the queue has room; `halted` is the code of the error that
    keeps the rest waiting, or "".
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    campaign = models.ForeignKey(Campaign, models.PROTECT, related_name="bulk_runs")
    version = models.ForeignKey(TemplateVersion, models.PROTECT, related_name="bulk_runs")
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="bulk_runs")
    name = models.CharField(max_length=120)
    status = models.CharField(max_length=10, choices=choices(BulkStatus), default=BulkStatus.CHECKING)
    columns = models.JSONField(default=list)
    mapping = models.JSONField(default=dict)
    formats = models.ManyToManyField(AdFormat, related_name="+")
    count = models.PositiveSmallIntegerField(default=1)
    seed = models.PositiveBigIntegerField(default=0)
    steps = models.PositiveSmallIntegerField(null=True)
    halted = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = BulkRunQuerySet.as_manager()

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            one_of("status", BulkStatus, "bulkrun_status_is_known"),
            models.CheckConstraint(condition=Q(count__range=(1, MAX_COUNT)), name="bulkrun_count_in_range"),
            models.CheckConstraint(condition=Q(seed__range=(0, MAX_SEED)), name="bulkrun_seed_in_range"),
        ]

    def __str__(self) -> str:
        return self.name


class BulkRow(models.Model):
    """One line of the sheet. `number` counts from 1 after the header.

    `cells` are its texts in the order of `columns`; `problems` what is wrong with them, each
    {"column", "level": "error" or "warning", "message", "params"}. `taken_at`: when it became a batch.
    `attempt` counts how often it was asked for again: the batch's request key is made of row and attempt.
    """

    run = models.ForeignKey(BulkRun, models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField()
    cells = models.JSONField(default=list)
    problems = models.JSONField(default=list)
    usable = models.BooleanField(default=False)
    selected = models.BooleanField(default=True)
    attempt = models.PositiveSmallIntegerField(default=0)
    taken_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["run", "number"]
        indexes = [models.Index(fields=["run", "number"], name="bulkrow_to_take",
                                condition=Q(taken_at__isnull=True, usable=True, selected=True))]
        constraints = [
            models.UniqueConstraint(fields=["run", "number"], name="bulkrow_number_in_run"),
            models.CheckConstraint(
                condition=Q(taken_at__isnull=True) | Q(usable=True), name="bulkrow_taken_only_if_usable"),
        ]

    def __str__(self) -> str:
        return f"{self.run} {self.number}"
