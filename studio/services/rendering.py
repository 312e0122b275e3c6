"""The worker's side of a render: claim (services/dispatch.py), render, store, finish.

A claim carries a lease and a token; whoever finishes with another token changes nothing. Files are written first,
rows second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Protocol

import structlog
from django.db import InterfaceError, OperationalError

from studio import notify, tracing
from studio.domain.errors import RenderCancelled, StudioError
from studio.domain.i18n import gettext_noop as _
from studio.domain.spec import Rendered, Renderer, Step
from studio.models import RenderJob
from studio.services import delivery, dispatch, guides, occupancy, workers
from studio.services.guides import Prepared

log = structlog.get_logger(__name__)

#: How long before the last step of a render ends the next one may be claimed.
AHEAD_SECONDS = 0.25

UNEXPECTED = {
    "code": "unexpected", "params": {},
    "message": _("The render stopped with an unexpected error; the worker's log has the details."),
    "hint": _("Try another seed. If it fails again, tell the person who runs this server.")}


#: Takes what is left to do for a rendered picture: at once, or beside the next render.
Later = Callable[[Callable[[], None]], None]


def at_once(work: Callable[[], None]) -> None:
    """A `Later` that does not wait."""
    work()


class Claims(Protocol):
    """Where a worker's next job comes from; worker/claims.py claims it ahead."""

    def soon(self) -> None:
        """The next job will be wanted in a moment."""
        ...

    def take(self) -> RenderJob | None:
        """The next job; None when nothing is queued."""
        ...


def run_next(renderer: Renderer, worker: str, later: Later = at_once, claims: Claims | None = None) -> bool:
    """Claim one job, or take it from `claims`, and see it to its end. False when nothing was queued."""
    job = claims.take() if claims else dispatch.claim_next(worker)
    if job is None:
        occupancy.of(worker).rest()
        return False
    run_job(job, renderer, later, claims.soon if claims else None)
    return True


def run_job(
    job: RenderJob, renderer: Renderer, later: Later = at_once, nearly_done: Callable[[], None] | None = None,
) -> None:
    """Render a claimed job; hand the picture to `later`, which stores it and closes the job.

    `nearly_done` is called once when hardly more than a step is left.

    Expected failures and bugs both end as a failed job that costs nothing; a bug is raised again
    after it is recorded. A cancelled job, or a lease that went to another worker, ends silently.
    Raises OperationalError or InterfaceError when the database is away; upkeep then queues the job again.
    """
    started = time.perf_counter()
    lease = Lease(job, nearly_done)
    _held.add(lease)
    work: Callable[[], None] | None = None
    try:
        with _recorded(job):
            workers.busy(job)
            prepared = guides.prepare(job)
            with occupancy.of(job.worker).rendering(job.created_at):
                rendered = renderer.render(prepared.spec, lease.step)
            work = partial(_deliver, lease, prepared, rendered, renderer.provenance, started, time.perf_counter())
    finally:
        if work is None:
            _held.discard(lease)
            workers.idle(job.worker, job=job.pk)
    if work is not None:
        later(work)


def _deliver(
    lease: Lease, prepared: Prepared, rendered: Rendered, provenance: dict[str, str], started: float, ended: float,
) -> None:
    """Store a picture that was rendered from `started` to `ended` (perf_counter), and close its job."""
    job, begun, finished = lease.job, time.perf_counter(), False
    try:
        with _recorded(job):
            finished = delivery.finish(job, delivery.store(job, prepared, rendered, provenance))
    finally:
        _held.discard(lease)
        now = time.perf_counter()
        # The next render runs meanwhile: the slower of the two decides how many pictures a worker makes.
        pace = workers.Timing(
            whole=(now - started) * 1000, each=max(ended - started, now - begun) * 1000, steps=rendered.step_ms,
            size=rendered.image.size)
        workers.idle(job.worker, job=job.pk, timing=pace if finished else None)
    with _logged(job):
        log.info("render.done", finished=finished, ms=round((now - started) * 1000))


def _logged(job: RenderJob) -> AbstractContextManager[None]:
    """What is logged meanwhile names the job, its attempt and the request it comes from, whichever thread this is."""
    return tracing.job(request_id=job.batch.request_id, job=str(job.pk), attempt=job.attempts)


@contextmanager
def _recorded(job: RenderJob) -> Iterator[None]:
    """Record what ends a render too early; expected ends stay inside."""
    with _logged(job):
        try:
            yield
        except RenderCancelled:
            log.info("render.stopped", frame=job.frame)
        except HandedBack:
            delivery.hand_back(job)
            log.info("render.handed_back", frame=job.frame)
        except StudioError as error:
            delivery.fail(
                job, {"code": error.code, "message": error.message, "hint": error.hint, "params": error.params})
            log.warning("render.failed", reason=str(error))
        except (InterfaceError, OperationalError):
            raise  # the database is away: the lease runs out, and the job is taken up again
        except Exception as error:
            delivery.fail(job, UNEXPECTED)
            # Celery logs the traceback, and knows nothing of the job.
            log.error("render.failed", reason=f"{type(error).__name__}: {error}")
            raise


class HandedBack(Exception):
    """Raised inside a render to give it up for another worker: this process must end."""


#: When this process hands back what it still renders, by time.monotonic(); None while it need not end.
_ends_at: float | None = None


def end_within(seconds: float) -> None:
    """The process was asked to end: a render that still runs after `seconds` is handed back at its next step."""
    global _ends_at
    _ends_at = time.monotonic() + seconds


#: At least so many seconds lie between two steps of a worker that the workers page hears of.
STEP_SECONDS = 0.5


class Lease:
    """A running job's hold on its row: renewed by every step and by the worker's heartbeat."""

    def __init__(self, job: RenderJob, nearly_done: Callable[[], None] | None = None) -> None:
        assert job.lease_token is not None
        self.job, self._token = job, job.lease_token
        self._nearly_done, self._stepped = nearly_done, time.monotonic()
        self._told = float("-inf")  # when the workers page last heard of a step, by time.monotonic()

    def renew(self, **fields: object) -> bool:
        """Put the end of the lease off. False: the job is no longer ours."""
        return RenderJob.objects.renew(self.job.pk, self._token, until=dispatch.lease_end(), **fields)

    def step(self, step: Step) -> None:
        """Renew and publish a finished step. Raises RenderCancelled when the job is no longer ours, or HandedBack."""
        if not self.renew(step=step.index):
            raise RenderCancelled
        # After the last step it is done sooner here than anywhere else.
        if _ends_at is not None and time.monotonic() >= _ends_at and step.index < step.total:
            raise HandedBack
        now, before = time.monotonic(), self._stepped
        self._stepped = now
        # Not long before: meanwhile another worker might have taken it.
        left = (step.total - step.index) * (now - before)
        if self._nearly_done and _ends_at is None and left <= AHEAD_SECONDS:
            self._nearly_done()
            self._nearly_done = None
        notify.job_step(self.job, step.index, step.preview)
        if (now := time.monotonic()) - self._told >= STEP_SECONDS:
            self._told = now
            notify.worker_step(self.job.worker, step.index, step.total)


#: The leases this process holds: of the job it renders, and of those whose pictures are being stored.
_held: set[Lease] = set()


def renew_held() -> None:
    """Keep this process's jobs through a step, or an upload, that outlasts the lease; called by its heartbeat.

    Only what this very process holds: a worker that has just started must not keep the job of the
    process that died before it.
    """
    for lease in _held.copy():  # a render may end meanwhile
        lease.renew()
