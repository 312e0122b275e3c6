from __future__ import annotations

import os
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from django.conf import settings
from django.contrib.sessions.models import Session
from django.utils import timezone

from studio import queue, storage
from studio.domain.states import JobStatus
from studio.models import Activity, RenderJob
from studio.services import quotas, upkeep, workers
from tests.conftest import Cast
from tests.factories import PNG, asset, balance, job, ledger, worker

PAST = timedelta(seconds=-1)


def fresh(row: RenderJob) -> RenderJob:
    return RenderJob.objects.select_related("batch", "campaign").get(pk=row.pk)


def running(cast: Cast, *, lease: timedelta = PAST, **fields: Any) -> RenderJob:
    return job(cast.campaign, status=JobStatus.RUNNING, lease_until=timezone.now() + lease, step=5, **fields)


def test_a_dead_workers_job_is_queued_again_and_stays_reserved(
    cast: Cast, wakes: list[int], events: list[Any], django_capture_on_commit_callbacks: Any,
) -> None:
    dead, alive = running(cast), running(cast, lease=timedelta(seconds=9))
    with django_capture_on_commit_callbacks(execute=True):
        assert upkeep.take_back() == 1
    found = fresh(dead)
    assert (found.status, found.step, found.attempts) == ("queued", 0, 1)
    assert (found.lease_token, found.started_at) == (None, None)
    assert fresh(alive).status == "running" and ledger(dead) == ["reserve"] and balance(cast.team) == (2, 0)
    assert wakes == [1] and [(e["type"], e["status"]) for _topic, e in events] == [("job.changed", "queued")]


def test_a_job_that_kills_its_workers_is_given_up(cast: Cast, events: list[Any],
                                                  django_capture_on_commit_callbacks: Any) -> None:
    dead = running(cast, attempts=settings.MAX_ATTEMPTS)
    with django_capture_on_commit_callbacks(execute=True):
        assert upkeep.take_back() == 1
    found = fresh(dead)
    assert found.status == "failed" and found.finished_at
    assert found.error and found.error["code"] == "worker_lost"
    assert found.error["params"] == {"attempts": settings.MAX_ATTEMPTS}
    assert ledger(dead) == ["reserve", "release"] and balance(cast.team) == (0, 0) and quotas.mismatches() == []
    assert Activity.objects.get().verb == "render.failed" and events[-1][1]["status"] == "failed"
    assert upkeep.take_back() == 0


def test_a_worker_that_starts_again_gives_back_what_it_held(cast: Cast) -> None:
    far = timedelta(minutes=5)
    mine = running(cast, lease=far)
    others = running(cast, lease=far, worker="worker-2", lease_token=uuid4())
    assert upkeep.take_back(worker="worker-1") == 1
    assert fresh(mine).status == "queued" and fresh(others).status == "running"


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("change", [
    {"lease_until": timezone.now() + timedelta(hours=1)}, {"lease_token": uuid4()},
    {"status": "done", "finished_at": timezone.now(), "lease_token": None, "lease_until": None},
])
def test_a_worker_that_was_only_slow_keeps_its_job(cast: Cast, change: dict[str, Any], attempts: int) -> None:
    """Between reading the row and taking it back, the worker renewed, finished, or another took it."""
    dead = running(cast, attempts=attempts)
    read_before = RenderJob.objects.select_related("batch", "campaign__team").get(pk=dead.pk)
    RenderJob.objects.filter(pk=dead.pk).update(**change)
    assert upkeep._take_back_one(read_before) is False
    assert fresh(dead).status == change.get("status", "running") and ledger(dead) == ["reserve"]


def test_jobs_whose_wake_up_was_lost_are_woken_again(cast: Cast, wakes: list[int]) -> None:
    for name in ("worker-1", "worker-2"):
        worker(name)
    assert upkeep.wake_stale() == 0 and wakes == []
    for _ in range(10):
        job(cast.campaign)
    assert upkeep.wake_stale() == 0
    RenderJob.objects.update(created_at=timezone.now() - 2 * upkeep.STALE)
    assert upkeep.wake_stale() == 10 and wakes == [2]


def test_hints_do_not_pile_up_while_nobody_can_take_them(cast: Cast, wakes: list[int]) -> None:
    job(cast.campaign)
    RenderJob.objects.update(created_at=timezone.now() - 2 * upkeep.STALE)
    assert upkeep.wake_stale() == 1 and wakes == []  # no worker: one that starts looks by itself
    mine = running(cast, lease=timedelta(seconds=9))
    worker(state="busy", job=mine)
    assert upkeep.wake_stale() == 1 and wakes == []
    RenderJob.objects.filter(pk=mine.pk).update(  # it ended, and the worker could not say that it is idle
        status="done", finished_at=timezone.now(), lease_token=None, lease_until=None)
    assert upkeep.wake_stale() == 1 and wakes == [1]


def test_the_regular_round_does_both(cast: Cast, wakes: list[int]) -> None:
    dead = running(cast)
    worker()
    RenderJob.objects.update(created_at=timezone.now() - 2 * upkeep.STALE)
    upkeep.run()
    assert fresh(dead).status == "queued" and wakes == [1, 1]


def test_files_without_a_row_are_swept_once_they_are_old(cast: Cast) -> None:
    kept = asset(cast.campaign)
    orphan, young = (storage.asset_key(uuid4(), "cd" * 32, "png") for _ in range(2))
    for key in (kept.file_key, kept.thumb_key, orphan, young):
        storage.put(key, PNG, "image/png")
    old = time.time() - upkeep.ORPHAN_AGE.total_seconds() - 60
    for key in (kept.file_key, kept.thumb_key, orphan):
        os.utime(settings.MEDIA_ROOT / key, (old, old))
    assert upkeep.sweep_orphans() == 1
    storage.open_file(kept.file_key).close()
    storage.open_file(kept.thumb_key).close()
    storage.open_file(young).close()
    with pytest.raises(storage.FileMissing):
        storage.open_file(orphan)
    storage.delete(young)


def test_the_file_of_a_job_that_is_still_open_is_not_swept(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its next attempt makes the same bytes, finds the file there, and names it."""
    monkeypatch.setattr(upkeep, "SWEPT_AT_ONCE", 2)
    waiting, ended = job(cast.campaign), job(cast.campaign, status=JobStatus.FAILED)
    keys = [storage.asset_key(row.pk, "cd" * 32, ext) for row in (waiting, ended) for ext in ("png", "thumb.webp")]
    old = time.time() - upkeep.ORPHAN_AGE.total_seconds() - 60
    stored = {*keys, "assets/strange/file"}
    for key in stored:
        storage.put(key, PNG, "image/png")
        os.utime(settings.MEDIA_ROOT / key, (old, old))
    upkeep.sweep_orphans()
    assert stored & {key for key, _changed in storage.list_keys("assets")} == set(keys[:2])
    for key in keys[:2]:
        storage.delete(key)


def test_a_workers_life_is_seen(db: None) -> None:
    from studio.models import Worker

    workers.starting("w")
    assert Worker.objects.live().exists() and not Worker.objects.ready().exists()
    workers.ready("w", device="x" * 200, model_name="Demo")
    assert Worker.objects.ready().get().device == "x" * 120
    workers.idle("w", timing=workers.Timing(100.0, 100.0, [10.0] * 8, (64, 64)))
    workers.idle("w")
    workers.idle("w", timing=workers.Timing(200.0, 200.0, [20.0], (64, 64)))
    me = Worker.objects.get()
    assert (me.pictures, me.mean_ms, me.step_ms, me.rest_ms) == (2, 120.0, 12.0, 52.0)
    Worker.objects.update(seen_at=timezone.now() - timedelta(minutes=1))
    assert not Worker.objects.live().exists()
    workers.seen("w")
    assert Worker.objects.ready().exists()
    workers.stopped("w")
    assert not Worker.objects.live().exists()
    workers.starting("w")
    assert Worker.objects.get().state == "starting" and Worker.objects.get().pictures == 2


def test_a_broker_that_is_away_loses_only_the_hint(
    real_queue: None, monkeypatch: pytest.MonkeyPatch,
) -> None:
    from kombu.exceptions import OperationalError

    def away(*args: object, **kwargs: object) -> None:
        raise OperationalError("away")

    monkeypatch.setattr(current_app, "send_task", away)
    assert queue.wake(3) is False


def test_a_worker_row_is_kept_when_its_job_is_gone(cast: Cast) -> None:
    mine = job(cast.campaign, reserved=False)
    me = worker(job=mine)
    mine.delete()
    me.refresh_from_db()
    assert me.job_id is None


def test_sessions_that_ran_out_are_forgotten(db: None) -> None:
    now = timezone.now()
    for key, end in (("old", now - timedelta(seconds=1)), ("new", now + timedelta(days=1))):
        Session.objects.create(session_key=key, session_data="", expire_date=end)
    assert upkeep.forget_sessions() == 1 and Session.objects.get().session_key == "new"
