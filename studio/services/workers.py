"""What workers report of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import F, Q
from django.utils import timezone

from studio import notify
from studio.models import Pool, RenderJob, Worker
from studio.services import occupancy, paces


def starting(name: str, *, host: str = "", pool: str = "") -> None:
    """The process is up and loads its model. Without `pool` it stays in the one that an admin put it into."""
    now = timezone.now()
    fields: dict[str, object] = {
        "state": Worker.State.STARTING, "started_at": now, "seen_at": now, "job": None, "host": host[:120]}
    if pool:
        fields["pool"], _made = Pool.objects.get_or_create(name=pool)
    Worker.objects.update_or_create(name=name, defaults=fields)
    notify.worker_changed(name)


def ready(
    name: str, *, device: str, model_name: str, model_sha256: str = "", provenance: dict[str, str] | None = None,
) -> None:
    """The model is loaded; jobs can come. `provenance`: the renderer's."""
    Worker.objects.filter(name=name).update(
        state=Worker.State.IDLE, device=device[:120], model_name=model_name[:120], model_sha256=model_sha256[:64],
        provenance=provenance or {}, seen_at=timezone.now())
    notify.worker_changed(name)


def provenance() -> dict[str, str]:
    """What renders now: of a ready worker, else of the one seen last. Empty when none has ever said."""
    known = Worker.objects.exclude(provenance={})
    found = known.ready().order_by("name").first() or known.order_by("-seen_at").first()
    return dict(found.provenance) if found else {}


def loading(name: str) -> None:
    """The process goes on with another model, and can't render until that is loaded."""
    Worker.objects.filter(name=name).update(
        state=Worker.State.STARTING, job=None, model_sha256="", seen_at=timezone.now())
    notify.worker_changed(name)


def busy(job: RenderJob) -> None:
    """The worker took `job` up."""
    Worker.objects.filter(name=job.worker).update(state=Worker.State.BUSY, job=job, seen_at=timezone.now())
    notify.worker_changed(job.worker)


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of a delivered picture.

    `whole`: claim to stored. `each`: for how long it kept the worker from the next one. `steps`: its
    denoising steps. `size`: width and height in pixels that were rendered.
    """

    whole: float
    each: float
    steps: Sequence[float]
    size: tuple[int, int]


def idle(name: str, *, job: UUID | None = None, timing: Timing | None = None) -> None:
    """`job` has ended, delivered if it has a `timing`. The worker is free, unless it has taken up another one."""
    worker = Worker.objects.filter(name=name).first()
    fields = _worked(name)
    if worker and timing:
        fields |= {"pictures": F("pictures") + 1, "mean_ms": paces.mean(worker.mean_ms, timing.whole)}
        if timing.steps:
            step_ms, rest_ms = sum(timing.steps) / len(timing.steps), max(0.0, timing.each - sum(timing.steps))
            fields["step_ms"] = paces.mean(worker.step_ms, step_ms)
            fields["rest_ms"] = paces.mean(worker.rest_ms, rest_ms)
            paces.note(worker, size=timing.size, step_ms=step_ms, rest_ms=rest_ms)
    if fields:
        Worker.objects.filter(name=name).update(**fields)
    own = Worker.objects.filter(Q(job=job) | Q(job=None), name=name)
    own.update(state=Worker.State.IDLE, job=None, seen_at=timezone.now())
    notify.worker_changed(name)


def _worked(name: str) -> dict[str, object]:
    """What the renderer's time went to since this was last written down."""
    busy, gap = occupancy.of(name).take()
    return {"busy_ms": F("busy_ms") + busy, "gap_ms": F("gap_ms") + gap} if busy or gap else {}


def seen(name: str, *, gpu_memory: tuple[int, int] | None = None) -> bool:
    """A sign of life. `gpu_memory`: bytes used, and of how many; None without a GPU.

    False: an admin has forgotten the worker while it was silent; it is listed anew.
    """
    now, (used, total) = timezone.now(), gpu_memory or (None, None)
    known = Worker.objects.filter(name=name).update(
        seen_at=now, gpu_memory_used=used, gpu_memory_total=total, **_worked(name)) == 1
    if not known:
        Worker.objects.get_or_create(
            name=name, defaults={"state": Worker.State.IDLE, "started_at": now, "seen_at": now})
    notify.worker_seen(name)
    return known


def stopped(name: str) -> None:
    """The process ends on purpose."""
    Worker.objects.filter(name=name).update(state=Worker.State.STOPPED, job=None, seen_at=timezone.now())
    notify.worker_changed(name)
