"""What workers report of themselves."""

from __future__ import annotations

from django.db.models import F
from django.utils import timezone

from studio.models import RenderJob, Worker

#: Weight of the newest picture in a worker's moving average.
_NEWEST = 0.2


def starting(name: str) -> None:
    """The process is up and loads its model."""
    now = timezone.now()
    Worker.objects.update_or_create(name=name, defaults={
        "state": Worker.State.STARTING, "started_at": now, "seen_at": now, "job": None})


def ready(name: str, *, device: str, model_name: str) -> None:
    """The model is loaded; jobs can come."""
    Worker.objects.filter(name=name).update(
        state=Worker.State.IDLE, device=device[:120], model_name=model_name[:120], seen_at=timezone.now())


def busy(job: RenderJob) -> None:
    """The worker took `job` up."""
    Worker.objects.filter(name=job.worker).update(state=Worker.State.BUSY, job=job, seen_at=timezone.now())


def idle(name: str, *, milliseconds: float | None) -> None:
    """The worker is free again. `milliseconds` of a delivered picture, claim to stored; None for none."""
    fields: dict[str, object] = {}
    if milliseconds is not None:
        known = Worker.objects.filter(name=name).values_list("mean_ms", flat=True).first() or 0.0
        mean = milliseconds if not known else known + _NEWEST * (milliseconds - known)
        fields = {"pictures": F("pictures") + 1, "mean_ms": mean}
    Worker.objects.filter(name=name).update(state=Worker.State.IDLE, job=None, seen_at=timezone.now(), **fields)


def seen(name: str) -> None:
    """A sign of life."""
    Worker.objects.filter(name=name).update(seen_at=timezone.now())


def stopped(name: str) -> None:
    """The process ends on purpose."""
    Worker.objects.filter(name=name).update(state=Worker.State.STOPPED, job=None, seen_at=timezone.now())
