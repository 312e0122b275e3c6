"""What keeps the queue whole when processes die or messages are lost. Safe to run any time, anywhere."""

from __future__ import annotations

from datetime import timedelta
from itertools import chain, islice

import structlog
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from studio import notify, queue, storage
from studio.domain.i18n import gettext_noop as _
from studio.domain.states import JobStatus
from studio.models import Asset, Chore, RenderJob, Worker
from studio.services import activity, quotas, tallies

log = structlog.get_logger(__name__)

#: A job queued for longer than this gets a fresh wake-up.
STALE = timedelta(seconds=10)
#: A file without a row may belong to a render that is just finishing; after this it is an orphan.
ORPHAN_AGE = timedelta(hours=6)
#: Files asked about in one query.
SWEPT_AT_ONCE = 500

LOST = {
    "code": "worker_lost", "params": {},
    "message": _("The worker stopped %(attempts)d times while rendering this picture."),
    "hint": _("It may be too large for the machine: choose a smaller format, or tell the person who runs this server.")}


def take_back(*, worker: str = "") -> int:
    """Queue again, or fail after MAX_ATTEMPTS, the running jobs whose lease ran out.

    With `worker`: also those that the named worker held, lease or not; it has just started, so it
    cannot be rendering them. Returns how many.
    """
    dead = Q(lease_until__lt=timezone.now())
    if worker:
        dead |= Q(worker=worker)
    count = 0
    for job in RenderJob.objects.filter(dead, status=JobStatus.RUNNING).select_related("batch", "campaign__team"):
        count += _take_back_one(job)
    if count:
        queue.wake(min(count, 8))
    return count


def _take_back_one(job: RenderJob) -> bool:
    with transaction.atomic(durable=True):
        # The token fences against a worker that renewed or finished since the row was read.
        ours = RenderJob.objects.filter(lease_token=job.lease_token, lease_until=job.lease_until)
        # Claimed ahead and never begun: what ended its worker was another job.
        innocent = job.started_at is None
        if innocent or job.attempts < settings.MAX_ATTEMPTS:
            attempts = job.attempts - innocent
            if not ours.move(job.pk, JobStatus.QUEUED, started_at=None, step=0, attempts=attempts):
                return False
            notify.job_changed(job, JobStatus.QUEUED)
        else:
            error = LOST | {"params": {"attempts": job.attempts}}
            if not ours.move(job.pk, JobStatus.FAILED, finished_at=timezone.now(), error=error):
                return False
            tallies.failure(job.worker, "worker_lost")
            quotas.release(job.pk)
            activity.record(verb="render.failed", campaign=job.campaign, frame=job.frame, reason="worker_lost")
            notify.job_changed(job, JobStatus.FAILED)
    log.warning("upkeep.taken_back", job=str(job.pk), request_id=job.batch.request_id, worker=job.worker,
                attempts=job.attempts)
    return True


def wake_stale() -> int:
    """Send wake-ups for jobs whose own were lost, to workers that are free. Returns how many jobs wait for too long.

    A worker that renders looks for the next job by itself, and one that starts looks when it is ready:
    hints for those would only pile up in the broker.
    """
    waiting = RenderJob.objects.waiting().filter(created_at__lt=timezone.now() - STALE).count()
    free = Worker.objects.free()
    # Where a hint may reach one that must not take the job, being drained or set apart, all free ones get one.
    astray = free.exclude(pool=None, draining=False).exists()
    hints = (free.count() if astray else min(waiting, free.count())) if waiting and free.taking().exists() else 0
    if hints:
        queue.wake(hints)
    return waiting


def sweep_orphans() -> int:
    """Delete old files that no asset names: losers of a race, left by a crash. Returns how many.

    Files of a job that is still open stay: its next attempt makes the same file again, and finds it there.
    """
    removed = 0
    limit = timezone.now() - ORPHAN_AGE
    old = (key for key, changed in storage.list_keys("assets") if changed <= limit)
    while keys := list(islice(old, SWEPT_AT_ONCE)):
        for key in set(keys) - _needed(keys):
            storage.delete(key)
            removed += 1
    if removed:
        log.info("upkeep.orphans", removed=removed)
    return removed


def _needed(keys: list[str]) -> set[str]:
    """Those of `keys` that an asset names or whose job is still open."""
    jobs = {job for key in keys if (job := storage.job_of(key))}
    # In this order: a job that ends in between has its asset by then.
    still_open = set(RenderJob.objects.open().filter(pk__in=jobs).values_list("pk", flat=True))
    named = Asset.objects.filter(job__in=jobs).values_list("file_key", "thumb_key")
    return {*chain.from_iterable(named), *(key for key in keys if storage.job_of(key) in still_open)}


def forget_sessions() -> int:
    """Delete the sessions that have run out. Returns how many rows went."""
    return Session.objects.filter(expire_date__lt=timezone.now()).delete()[0]


def begin(chore: str, *, every: float) -> bool:
    """Whether it is this process that does `chore` now: it is begun once in `every` seconds, whoever asks how often."""
    now = timezone.now()
    _row, first = Chore.objects.get_or_create(name=chore, defaults={"begun_at": now})
    if first:
        return True
    # A clock that ticks a little early must not lose its turn.
    due = Chore.objects.filter(name=chore, begun_at__lte=now - timedelta(seconds=every * 0.8))
    return due.update(begun_at=now) == 1


def run() -> None:
    """The regular round: leases and lost wake-ups."""
    take_back()
    wake_stale()
