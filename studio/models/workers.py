"""Render workers that have reported."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from django.db import models
from django.utils import timezone

from studio.domain.states import JobStatus

#: A worker that has not reported for this long counts as gone.
SILENT_AFTER = timedelta(seconds=20)


class WorkerQuerySet(models.QuerySet["Worker"]):
    """Which workers can be counted on."""

    def live(self) -> Self:
        """Reported lately and has not said goodbye."""
        return self.filter(seen_at__gt=timezone.now() - SILENT_AFTER).exclude(state=Worker.State.STOPPED)

    def ready(self) -> Self:
        """Live, with its model loaded."""
        return self.live().exclude(state=Worker.State.STARTING)

    def taking(self) -> Self:
        """Ready, and not being drained."""
        return self.ready().filter(draining=False)

    def free(self) -> Self:
        """Ready, and not rendering; one that is being drained hears hints, too."""
        return self.ready().exclude(state=Worker.State.BUSY, job__status=JobStatus.RUNNING)


class Worker(models.Model):
    """One render process. Its moving averages, in milliseconds; 0 before its first picture.

    `mean_ms`: a picture, claim to stored. `step_ms`: one denoising step. `rest_ms`: all of a picture
    but its steps. Sums, in milliseconds: `busy_ms` the renderer worked, `gap_ms` it stood still between two
    pictures while the second was queued already. GPU memory in bytes, null without a GPU.
    `provenance`: what renders there (model checksum, device, library versions), as its pictures' recipes
    have it.
    """

    class State(models.TextChoices):
        """What the process is doing."""

        STARTING = "starting"
        IDLE = "idle"
        BUSY = "busy"
        STOPPED = "stopped"

    name = models.CharField(max_length=80, primary_key=True)
    state = models.CharField(max_length=10, choices=State.choices)
    host = models.CharField(max_length=120, blank=True)
    pool = models.ForeignKey("studio.Pool", models.SET_NULL, null=True, blank=True, related_name="workers")
    #: Takes nothing new: an admin wants it free.
    draining = models.BooleanField(default=False)
    device = models.CharField(max_length=120, blank=True)
    model_name = models.CharField(max_length=120, blank=True)
    provenance = models.JSONField(default=dict)
    #: Checksum of the model it has loaded; empty when that is not known.
    model_sha256 = models.CharField(max_length=64, blank=True)
    pictures = models.PositiveIntegerField(default=0)
    mean_ms = models.FloatField(default=0)
    step_ms = models.FloatField(default=0)
    rest_ms = models.FloatField(default=0)
    busy_ms = models.FloatField(default=0)
    gap_ms = models.FloatField(default=0)
    gpu_memory_used = models.BigIntegerField(null=True)
    gpu_memory_total = models.BigIntegerField(null=True)
    job = models.ForeignKey("studio.RenderJob", models.SET_NULL, null=True, related_name="+")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    objects = WorkerQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        constraints = [models.CheckConstraint(
            condition=models.Q(state__in=["starting", "idle", "busy", "stopped"]), name="worker_state_is_known")]

    def __str__(self) -> str:
        return self.name


class Pace(models.Model):
    """How quick a worker is with one model at one size: moving averages in milliseconds.

    `step_ms`: one denoising step. `rest_ms`: all of a picture but its steps.
    """

    worker = models.ForeignKey(Worker, models.CASCADE, related_name="paces")
    model_sha256 = models.CharField(max_length=64, blank=True)
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    step_ms = models.FloatField()
    rest_ms = models.FloatField()

    class Meta:
        constraints = [models.UniqueConstraint(
            fields=["worker", "model_sha256", "width", "height"], name="pace_one_per_worker_model_and_size")]

    def __str__(self) -> str:
        return f"{self.worker_id} {self.width} x {self.height}"
