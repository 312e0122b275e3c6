"""The worker's side of a render: claim, render, store, finish.

The job row is the queue. A claim carries a lease and a token; whoever finishes with another token
changes nothing. Files are written first, rows second.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import uuid4

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F
from django.utils import timezone

from studio import imaging, labels, notify, storage
from studio.domain.errors import RenderCancelled, StudioError
from studio.domain.i18n import gettext_noop as _
from studio.domain.spec import Rendered, Renderer, Step
from studio.domain.states import JobStatus
from studio.models import Asset, RenderJob, Team
from studio.services import activity, guides, quotas, workers
from studio.services.guides import Prepared

log = structlog.get_logger(__name__)

#: Campaigns told that the queue moved; pages of further ones see it at their next refresh.
MOVED_CAMPAIGNS = 50

UNEXPECTED = {
    "code": "unexpected", "params": {},
    "message": _("The render stopped with an unexpected error; the worker's log has the details.")}


def lease_end() -> datetime:
    """When a lease taken or renewed now runs out."""
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)


def claim_next(worker: str) -> RenderJob | None:
    """Take the next queued job; None when there is none. Teams take turns, then age decides.

    On PostgreSQL rows another worker is taking are skipped; on SQLite writers stand in line.
    """
    with transaction.atomic(durable=True):
        queued = RenderJob.objects.filter(status=JobStatus.QUEUED).order_by(
            F("team__served_at").asc(nulls_first=True), "created_at", "batch_id", "position")
        pk = queued.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True).first()
        if pk is None:
            return None
        now, token = timezone.now(), uuid4()
        taken = RenderJob.objects.move(
            pk, JobStatus.RUNNING, lease_token=token, lease_until=lease_end(), worker=worker,
            attempts=F("attempts") + 1, started_at=now, step=0)
        if not taken:
            return None
        job = RenderJob.objects.select_related(
            "batch__source", "batch__mask", "batch__control_input", "campaign", "team", "ad_format").get(pk=pk)
        Team.objects.filter(pk=job.team_id).update(served_at=now)
        notify.job_changed(job, JobStatus.RUNNING)
    notify.queue_moved(_waiting_campaigns())
    return job


def _waiting_campaigns() -> set[int]:
    """Campaigns whose pages show a place in the queue that has just moved up."""
    queued = RenderJob.objects.filter(status=JobStatus.QUEUED)
    return set(queued.order_by().values_list("campaign_id", flat=True).distinct()[:MOVED_CAMPAIGNS])


def run_next(renderer: Renderer, worker: str) -> bool:
    """Claim one job and see it to its end. False when nothing was queued."""
    job = claim_next(worker)
    if job is None:
        return False
    run_job(job, renderer)
    return True


def run_job(job: RenderJob, renderer: Renderer) -> None:
    """Render a claimed job, store the picture, close the job.

    Expected failures and bugs both end as a failed job that costs nothing; a bug is raised again
    after it is recorded. A cancelled job, or a lease that went to another worker, ends silently.
    Raises OperationalError or InterfaceError when the database is away; upkeep then queues the job again.
    """
    global _held
    started = time.perf_counter()
    lease = _held = Lease(job)
    finished = False
    steps: list[float] = []
    try:
        workers.busy(job)
        prepared = guides.prepare(job)
        rendered = renderer.render(prepared.spec, lease.step)
        steps = rendered.step_ms
        picture = _store(job, prepared, rendered, renderer.provenance)
        finished = _finish(job, picture)
    except RenderCancelled:
        log.info("render.stopped", job=str(job.pk), frame=job.frame)
    except StudioError as error:
        fail(job, {"code": error.code, "message": error.message, "params": error.params})
        log.warning("render.failed", job=str(job.pk), reason=str(error))
    except (InterfaceError, OperationalError):
        raise  # the database is away: the lease runs out, and the job is taken up again
    except Exception:
        fail(job, UNEXPECTED)
        raise
    finally:
        _held = None
        milliseconds = (time.perf_counter() - started) * 1000
        workers.idle(job.worker, milliseconds=milliseconds if finished else None, steps=steps)
    log.info("render.done", job=str(job.pk), finished=finished, ms=round(milliseconds))


class Lease:
    """A running job's hold on its row: renewed by every step and by the worker's heartbeat."""

    def __init__(self, job: RenderJob) -> None:
        assert job.lease_token is not None
        self._job, self._token = job, job.lease_token

    def renew(self, **fields: object) -> bool:
        """Put the end of the lease off. False: the job is no longer ours."""
        return RenderJob.objects.renew(self._job.pk, self._token, until=lease_end(), **fields)

    def step(self, step: Step) -> None:
        """Renew and publish a finished step. Raises RenderCancelled when the job is no longer ours."""
        if not self.renew(step=step.index):
            raise RenderCancelled
        notify.job_step(self._job, step.index, step.preview)


#: The lease of the job this process renders now; one process renders one job at a time.
_held: Lease | None = None


def renew_held() -> None:
    """Keep this process's job through a step that outlasts the lease; called by its heartbeat.

    Only what this very process holds: a worker that has just started must not keep the job of the
    process that died before it.
    """
    held = _held  # the render may end between two looks at it
    if held is not None:
        held.renew()


@dataclass(frozen=True, slots=True)
class _Picture:
    file_key: str
    thumb_key: str
    sha256: str
    size_bytes: int
    recipe: dict[str, Any]


def _store(job: RenderJob, prepared: Prepared, rendered: Rendered, provenance: dict[str, str]) -> _Picture:
    """Bring to the exact pixels, label, encode, and write both files."""
    clock = time.perf_counter()
    image = prepared.deliver(rendered.image)
    data = imaging.encode_png(image, xmp=labels.xmp_packet(
        producer=settings.AI_LABEL_PRODUCER, produce_id=str(job.pk)))
    thumb = imaging.thumbnail(image)
    encoded = time.perf_counter()
    digest = sha256(data).hexdigest()
    file_key = storage.put(storage.asset_key(job.pk, digest, "png"), data, "image/png")
    thumb_key = storage.put(storage.asset_key(job.pk, digest, "thumb.webp"), thumb, "image/webp")
    stored = time.perf_counter()
    assert job.started_at is not None
    timings = {
        "queue": _ms((job.started_at - job.created_at).total_seconds()), **rendered.timings,
        "encode": _ms(encoded - clock), "store": _ms(stored - encoded)}
    recipe = {
        "prompt": job.batch.prompt, "prompt_tokens": rendered.prompt_tokens, "truncated": rendered.truncated,
        "seed": job.seed, "sampler": job.batch.sampler, "steps": job.batch.steps, "guidance": job.batch.guidance,
        "width": job.width, "height": job.height,
        "render_width": job.render_width, "render_height": job.render_height, **prepared.facts,
        "pixels": guides.pixels(rendered.image), "attempt": job.attempts, "worker": job.worker,
        **provenance, "engine": sorted(provenance), "timings": timings}
    return _Picture(file_key, thumb_key, digest, len(data), recipe)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _finish(job: RenderJob, picture: _Picture) -> bool:
    """Close the job as done, once: asset, state fenced by the token, charge. False: it was not ours."""
    with transaction.atomic(durable=True):
        ours = RenderJob.objects.filter(pk=job.pk, lease_token=job.lease_token)
        if not ours.move(job.pk, JobStatus.DONE, finished_at=timezone.now(), step=job.batch.run_steps):
            return False
        Asset.objects.create(
            job=job, campaign=job.campaign, author_id=job.batch.requested_by_id, ad_format=job.ad_format,
            file_key=picture.file_key, thumb_key=picture.thumb_key, sha256=picture.sha256,
            size_bytes=picture.size_bytes, width=job.width, height=job.height, alt=job.batch.prompt,
            recipe=picture.recipe)
        quotas.settle(job.pk)
        notify.job_changed(job, JobStatus.DONE)
    return True


def fail(job: RenderJob, error: dict[str, Any]) -> bool:
    """Close the job as failed and give its quota back. False: it was not ours any more."""
    with transaction.atomic(durable=True):
        ours = RenderJob.objects.filter(pk=job.pk, lease_token=job.lease_token)
        if not ours.move(job.pk, JobStatus.FAILED, finished_at=timezone.now(), error=_plain(error)):
            return False
        quotas.release(job.pk)
        activity.record(verb="render.failed", campaign=job.campaign, frame=job.frame, reason=str(error["code"]))
        notify.job_changed(job, JobStatus.FAILED)
    return True


def _plain(error: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON can hold them."""
    return error | {"params": {
        name: value if isinstance(value, int | float | str) else str(value)
        for name, value in error["params"].items()}}
