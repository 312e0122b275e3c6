"""What was asked for (a batch) and each picture of it (a job). The job table is the queue."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Self
from uuid import UUID, uuid4

from django.contrib.auth.models import AnonymousUser
from django.db import models
from django.db.models import Count, F, Q, Sum, Value
from django.db.models.functions import Mod
from django.db.models.lookups import Exact

from studio.domain.guides import MAX_CONTROL_SCALE, MAX_GUIDANCE, MIN_STRENGTH, ControlKind, Task
from studio.domain.priority import Priority
from studio.domain.spec import MAX_SEED, MAX_STEPS, SAMPLER, SAMPLERS, RenderSpec, run_steps
from studio.domain.states import CLOSED_JOBS, OPEN_JOBS, JobStatus, job_sources
from studio.models.accounts import Team, User
from studio.models.base import choices, one_of
from studio.models.bulk import BulkRow
from studio.models.campaigns import AdFormat, Campaign, sized
from studio.models.dispatch import Pool, Share
from studio.models.inputs import RenderInput
from studio.models.templates import TemplateVersion


def _sixteenths(field: str) -> Exact:
    return Exact(Mod(F(field), Value(16)), Value(0))


class RenderBatch(models.Model):
    """One press of Render: a prompt in several formats. `number` counts within the campaign.

    `source` is the picture it starts from and `mask` what of it is painted anew; `loras` is a list of
    {"name", "weight"}. `again_of` is the picture that this batch renders once more.
    """

    campaign = models.ForeignKey(Campaign, models.PROTECT, related_name="batches")
    number = models.PositiveIntegerField()
    requested_by = models.ForeignKey(User, models.PROTECT, related_name="batches")
    #: Made by the page: the same request sent twice is one batch.
    request_key = models.UUIDField()
    prompt_zh = models.TextField(blank=True)
    prompt_en = models.TextField(blank=True)
    prompt = models.TextField()
    seed = models.PositiveBigIntegerField()
    count = models.PositiveSmallIntegerField()
    steps = models.PositiveSmallIntegerField()
    guidance = models.FloatField(default=0.0)
    sampler = models.CharField(max_length=20, default=SAMPLER)
    negative = models.TextField(blank=True)
    source = models.ForeignKey(RenderInput, models.PROTECT, null=True, related_name="+")
    mask = models.ForeignKey(RenderInput, models.PROTECT, null=True, related_name="+")
    strength = models.FloatField(default=1.0)
    control_input = models.ForeignKey(RenderInput, models.PROTECT, null=True, related_name="+")
    control_kind = models.CharField(max_length=10, blank=True)
    control_scale = models.FloatField(null=True)
    loras = models.JSONField(default=list)
    again_of = models.ForeignKey("studio.Asset", models.PROTECT, null=True, related_name="repeats")
    #: The template it was written with, and what its variables were: {"name": {"zh", "en"}}.
    version = models.ForeignKey(TemplateVersion, models.PROTECT, null=True, related_name="batches")
    values = models.JSONField(default=dict)
    #: The line of a sheet that it stands for.
    bulk_row = models.ForeignKey(BulkRow, models.PROTECT, null=True, related_name="batches")
    #: What is laid over its pictures on delivery: {"logo": id or null, "headline_zh", "headline_en"}; {} for nothing.
    overlay = models.JSONField(default=dict)
    #: Finds the batch's log lines in every process.
    request_id = models.CharField(max_length=64, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["requested_by", "request_key"], name="batch_one_per_request"),
            models.UniqueConstraint(fields=["campaign", "number"], name="batch_number_counts_in_campaign"),
            models.CheckConstraint(condition=~Q(prompt=""), name="batch_has_a_prompt"),
            models.CheckConstraint(condition=Q(seed__range=(0, MAX_SEED)), name="batch_seed_in_range"),
            models.CheckConstraint(condition=Q(steps__range=(1, MAX_STEPS)), name="batch_steps_in_range"),
            models.CheckConstraint(condition=Q(sampler__in=SAMPLERS), name="batch_sampler_is_known"),
            models.CheckConstraint(
                condition=Q(guidance__range=(0.0, MAX_GUIDANCE)), name="batch_guidance_in_range"),
            models.CheckConstraint(condition=Q(strength__range=(MIN_STRENGTH, 1.0)), name="batch_strength_in_range"),
            models.CheckConstraint(
                condition=Q(source__isnull=False) | Q(mask__isnull=True, strength=1.0), name="batch_mask_has_a_source"),
            models.CheckConstraint(
                condition=Q(control_input__isnull=True, control_kind="", control_scale__isnull=True)
                | Q(control_input__isnull=False, control_kind__in=[str(kind) for kind in ControlKind],
                    control_scale__gt=0.0, control_scale__lte=MAX_CONTROL_SCALE),
                name="batch_control_is_whole"),
        ]

    def __str__(self) -> str:
        return f"{self.campaign} #{self.number}"

    @property
    def task(self) -> Task:
        """What is done with the words."""
        if self.source_id is None:
            return Task.TEXT
        return Task.IMAGE if self.mask_id is None else Task.INPAINT

    @property
    def run_steps(self) -> int:
        """The steps that are really run: a start from a picture leaves out the first ones."""
        return run_steps(self.steps, self.strength)


#: A person's own waiting jobs, first to last.
OWN_ORDER = ("priority", "rank", "created_at", "batch_id", "position")


class RenderJobQuerySet(models.QuerySet["RenderJob"]):
    """Moves between states; every move is a compare-and-set."""

    def visible_to(self, user: User | AnonymousUser) -> Self:
        """The jobs of visible campaigns."""
        return self.filter(campaign__in=Campaign.objects.visible_to(user))

    def open(self) -> Self:
        """Queued or running."""
        return self.filter(status__in=OPEN_JOBS)

    def queued(self) -> dict[Priority, tuple[int, int]]:
        """How many pictures of each class wait for a worker, and how many steps they take in all."""
        rows = self.waiting().order_by().values_list("priority").annotate(Count("pk"), Sum("batch__steps"))
        return {Priority(priority): (pictures, steps) for priority, pictures, steps in rows}

    def waiting(self) -> Self:
        """Queued, in a campaign that is not paused, each person's in their order."""
        return self.filter(status=JobStatus.QUEUED, campaign__paused_at__isnull=True).order_by(*OWN_ORDER)

    def for_pool(self, pool: int | None) -> Self:
        """Those that a worker of this pool may take; None is a worker of no pool."""
        bound = {priority: pk for pk, priority in Pool.objects.exclude(priority=None).values_list("pk", "priority")}
        if pool is None:
            return self.filter(team__pool=None).exclude(priority__in=list(bound))
        classes = [priority for priority, owner in bound.items() if owner == pool]
        return self.filter(Q(team__pool=pool) | Q(team__pool=None, priority__in=classes))

    def move(self, pk: UUID, to: JobStatus, **fields: object) -> bool:
        """Move one job; False means another process moved it first."""
        if to is not JobStatus.RUNNING:
            fields |= {"lease_token": None, "lease_until": None}
        return self.filter(pk=pk, status__in=job_sources(to)).update(status=to, **fields) == 1

    def renew(self, pk: UUID, token: UUID, *, until: datetime, **fields: object) -> bool:
        """Keep a running job; False means it was cancelled or given to another worker."""
        return self.filter(pk=pk, status=JobStatus.RUNNING, lease_token=token).update(lease_until=until, **fields) == 1


class RenderJob(models.Model):
    """One picture to render; sizes in pixels. `rank` is the owner's wish: a lower one goes before the others."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    batch = models.ForeignKey(RenderBatch, models.PROTECT, related_name="jobs")
    campaign = models.ForeignKey(Campaign, models.PROTECT, related_name="jobs")
    team = models.ForeignKey(Team, models.PROTECT, related_name="jobs")
    ad_format = models.ForeignKey(AdFormat, models.PROTECT, null=True, related_name="jobs")
    position = models.PositiveSmallIntegerField()
    share = models.ForeignKey(Share, models.PROTECT, related_name="jobs")
    priority = models.PositiveSmallIntegerField(
        default=Priority.NORMAL.value, choices=[(p.value, p.name.title()) for p in Priority])
    rank = models.IntegerField(default=0)
    seed = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    render_width = models.PositiveIntegerField()
    render_height = models.PositiveIntegerField()
    status = models.CharField(max_length=10, choices=choices(JobStatus), default=JobStatus.QUEUED)
    step = models.PositiveSmallIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    worker = models.CharField(max_length=80, blank=True)
    error = models.JSONField(null=True)  # {"code", "message", "hint", "params"}: translated when shown
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = RenderJobQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["share", *OWN_ORDER[:3], "batch", "position"], name="renderjob_queued",
                         condition=Q(status="queued")),
            models.Index(fields=["lease_until"], name="renderjob_leased", condition=Q(status="running")),
            models.Index(fields=["campaign", "-created_at"], name="renderjob_campaign"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["batch", "position"], name="renderjob_position_in_batch"),
            one_of("status", JobStatus, "renderjob_status_is_known"),
            models.CheckConstraint(
                condition=Q(priority__in=[p.value for p in Priority]), name="renderjob_priority_is_known"),
            sized("renderjob"),
            models.CheckConstraint(
                condition=Q(finished_at__isnull=False, status__in=CLOSED_JOBS)
                | Q(finished_at__isnull=True, status__in=OPEN_JOBS),
                name="renderjob_finished_iff_closed"),
            models.CheckConstraint(
                condition=Q(status=JobStatus.RUNNING, lease_token__isnull=False, lease_until__isnull=False)
                | ~Q(status=JobStatus.RUNNING) & Q(lease_token__isnull=True, lease_until__isnull=True),
                name="renderjob_leased_iff_running"),
            models.CheckConstraint(
                condition=Q(_sixteenths("render_width"), _sixteenths("render_height")),
                name="renderjob_render_size_is_a_multiple_of_16"),
        ]

    def __str__(self) -> str:
        return self.frame

    @property
    def frame(self) -> str:
        """The frame number people speak of, such as 142-02."""
        return f"{self.batch.number}-{self.position:02}"

    @property
    def is_open(self) -> bool:
        """Still queued or running."""
        return self.status in OPEN_JOBS

    @property
    def cost(self) -> float:
        """Its work: megapixels times steps. Reads the batch."""
        return self.render_width * self.render_height * self.batch.run_steps / 2**20

    @property
    def waited(self) -> timedelta | None:
        """From submit to the worker's start of the last attempt."""
        return self.started_at - self.created_at if self.started_at else None

    def spec(self) -> RenderSpec:
        """What the engine needs of the row and its batch; services.guides adds pictures and weights."""
        return RenderSpec(
            prompt=self.batch.prompt, seed=self.seed, width=self.width, height=self.height,
            render_width=self.render_width, render_height=self.render_height, steps=self.batch.steps,
            guidance=self.batch.guidance, sampler=self.batch.sampler, negative=self.batch.negative,
            strength=self.batch.strength)
