"""What workers report of themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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


def ready(name: str, *, device: str, model_name: str, model_sha256: str = "") -> None:
    """The model is loaded; jobs can come."""
    Worker.objects.filter(name=name).update(
        state=Worker.State.IDLE, device=device[:120], model_name=model_name[:120], model_sha256=model_sha256[:64],
        seen_at=timezone.now())


def loading(name: str) -> None:
    """The process goes on with another model, and can't render until that is loaded."""
    Worker.objects.filter(name=name).update(
        state=Worker.State.STARTING, job=None, model_sha256="", seen_at=timezone.now())


def busy(job: RenderJob) -> None:
    """The worker took `job` up."""
    Worker.objects.filter(name=job.worker).update(state=Worker.State.BUSY, job=job, seen_at=timezone.now())


def idle(name: str, *, milliseconds: float | None, steps: Sequence[float] = ()) -> None:
    """The worker is free again.

    `milliseconds` of a delivered picture, claim to stored, None for none; `steps`: those of its steps.
    """
    fields: dict[str, object] = {}
    worker = Worker.objects.filter(name=name).first()
    if worker and milliseconds is not None:
        fields = {"pictures": F("pictures") + 1, "mean_ms": _mean(worker.mean_ms, milliseconds)}
        if steps:
            fields["step_ms"] = _mean(worker.step_ms, sum(steps) / len(steps))
            fields["rest_ms"] = _mean(worker.rest_ms, max(0.0, milliseconds - sum(steps)))
    Worker.objects.filter(name=name).update(state=Worker.State.IDLE, job=None, seen_at=timezone.now(), **fields)


def _mean(known: float, newest: float) -> float:
    return known + _NEWEST * (newest - known) if known else newest


@dataclass(frozen=True, slots=True)
class Pace:
    """How long pictures take: `step_ms` for each step and `rest_ms` for all else of a picture."""

    step_ms: float
    rest_ms: float

    def ms(self, *, pictures: int, steps: int) -> float:
        """Milliseconds for `pictures` pictures, one after the other, that take `steps` steps in all."""
        return pictures * self.rest_ms + steps * self.step_ms


def pace(workers: Iterable[Worker]) -> Pace | None:
    """The mean of those that have rendered; None when none has."""
    known = [worker for worker in workers if worker.step_ms]
    if not known:
        return None
    return Pace(
        sum(worker.step_ms for worker in known) / len(known), sum(worker.rest_ms for worker in known) / len(known))


def seen(name: str) -> None:
    """A sign of life."""
    Worker.objects.filter(name=name).update(seen_at=timezone.now())


def stopped(name: str) -> None:
    """The process ends on purpose."""
    Worker.objects.filter(name=name).update(state=Worker.State.STOPPED, job=None, seen_at=timezone.now())
