"""How busy a renderer is, and which pauses count as gaps: those with work in the queue."""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest
from django.utils import timezone

from studio import storage
from studio.models import RenderJob, Worker
from studio.services import occupancy, rendering, workers
from studio.worker.finisher import Finisher
from tests.conftest import Cast, make_cast
from tests.factories import job, worker
from tests.services.fake import FlatRenderer

STEP = 0.005


@pytest.fixture(autouse=True)
def _new(monkeypatch: pytest.MonkeyPatch) -> None:
    """What earlier tests rendered is not this one's."""
    occupancy._workers.clear()


def renderer() -> FlatRenderer:
    return FlatRenderer(lambda index: time.sleep(STEP))  # eight steps


def me() -> Worker:
    return Worker.objects.get(name="worker-1")


def test_the_time_between_two_queued_pictures_is_a_gap(cast: Cast) -> None:
    worker()
    for _ in range(3):
        job(cast.campaign)
    assert rendering.run_next(renderer(), "worker-1")
    assert me().busy_ms >= 8 * STEP * 1000 and me().gap_ms == 0
    time.sleep(0.05)
    assert rendering.run_next(renderer(), "worker-1")
    first = me()
    assert first.busy_ms >= 16 * STEP * 1000 and first.gap_ms >= 50
    assert rendering.run_next(renderer(), "worker-1") and me().gap_ms > first.gap_ms
    assert not rendering.run_next(renderer(), "worker-1")


def test_waiting_for_work_is_none(cast: Cast) -> None:
    worker()
    job(cast.campaign)
    rendering.run_next(renderer(), "worker-1")
    job(cast.campaign)  # asked for when the renderer had long ended
    rendering.run_next(renderer(), "worker-1")
    assert me().gap_ms == 0
    # Looked and found nothing; then comes a job that another worker had before, asked for long ago.
    assert not rendering.run_next(renderer(), "worker-1")
    RenderJob.objects.filter(pk=job(cast.campaign).pk).update(created_at=timezone.now() - timedelta(hours=1))
    rendering.run_next(renderer(), "worker-1")
    assert me().gap_ms == 0 and me().busy_ms >= 24 * STEP * 1000


def test_a_render_that_fails_was_busy_too(cast: Cast) -> None:
    worker()
    job(cast.campaign)

    def breaks(index: int) -> None:
        time.sleep(STEP)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rendering.run_next(FlatRenderer(breaks), "worker-1")
    assert me().busy_ms >= STEP * 1000 and me().pictures == 0


@pytest.mark.django_db(transaction=True)
def test_a_storage_that_is_too_slow_shows_as_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    cast, put = make_cast(), storage.put
    worker()
    for _ in range(3):
        job(cast.campaign)

    def slow(key: str, data: bytes, content_type: str) -> str:
        time.sleep(0.15)
        return put(key, data, content_type)

    monkeypatch.setattr(storage, "put", slow)
    with Finisher() as finisher:
        while rendering.run_next(renderer(), "worker-1", finisher.later):
            pass
    assert me().gap_ms >= 100  # the third waited for the first to be stored: one picture at most is ahead


def test_the_heartbeat_writes_down_what_was_not(cast: Cast) -> None:
    worker()
    with occupancy.of("worker-1").rendering(timezone.now()):
        time.sleep(STEP)
    workers.seen("worker-1", gpu_memory=(3, 80))
    found = me()
    assert found.busy_ms >= STEP * 1000 and (found.gpu_memory_used, found.gpu_memory_total) == (3, 80)
    workers.seen("worker-1")
    assert me().busy_ms == found.busy_ms and me().gpu_memory_used is None


def test_nothing_is_taken_twice() -> None:
    clock, taken = occupancy.Occupancy(), list[tuple[float, float]]()
    stop = threading.Event()

    def take() -> None:
        while not stop.is_set():
            taken.append(clock.take())

    thread = threading.Thread(target=take)
    thread.start()
    queued, began = timezone.now(), time.perf_counter()
    for _ in range(500):
        with clock.rendering(queued):
            pass
    whole = (time.perf_counter() - began) * 1000
    stop.set()
    thread.join()
    taken.append(clock.take())
    busy, gap = (sum(part) for part in zip(*taken, strict=True))
    assert 0 < busy + gap <= whole
