"""A real worker process: the whole way of a picture, and what happens when the process is killed."""

from __future__ import annotations

import signal
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from studio import checkpoint, storage, tracing
from studio.models import Asset, Campaign, RenderBatch, RenderJob, Worker
from studio.services import quotas, renders, upkeep
from tests.conftest import Cast
from tests.factories import balance, ledger, render_request
from tests.worker.conftest import RenderWorker, state, until

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.xdist_group("worker")]


def ask(cast: Cast, settings: Any, **fields: Any) -> RenderBatch:
    """As the web process does it."""
    return renders.request_render(
        user=cast.person("marketer"), campaign=Campaign.objects.get(pk=cast.campaign.pk), request_key=uuid4(),
        request=render_request(**({"count": 1} | fields)), card=checkpoint.read_card(settings.MODEL_DIR),
        today=timezone.localdate())


def stop_in_mid_render(worker: RenderWorker, job: RenderJob) -> None:
    """Freeze the process between two steps."""
    def at_a_step() -> bool:
        worker.send(signal.SIGSTOP)
        found = RenderJob.objects.get(pk=job.pk)
        if found.status == "running" and 1 <= found.step < 8:
            return True
        worker.send(signal.SIGCONT)
        assert found.status in ("queued", "running"), "the render was quicker than the test"
        return False

    until(at_a_step, 30)


def test_killed_workers_lose_nothing(
    cast: Cast, render_worker: RenderWorker, real_queue: None, settings: Any,
) -> None:
    """One worker's life after the other; starting one costs seconds, so they share a test."""
    # A picture goes all the way, woken through Redis; the request's id finds it in the worker's log.
    request_id = tracing.begin("found-by-this")
    first = ask(cast, settings).jobs.get()
    until(lambda: state(first) == "done", 60)
    until(lambda: [line for line in render_worker.log.read_text().splitlines() if "render.done" in line
                   and f"request_id={request_id}" in line and f"job={first.pk}" in line], 10)
    made = Asset.objects.get(job=first)
    assert made.recipe["checksum"] and made.recipe["worker"] == "worker-t" and len(made.recipe["timings"]["steps"]) == 8
    storage.open_file(made.file_key).close()
    assert ledger(first) == ["reserve", "settle"] and balance(cast.team) == (0, 1)
    assert Worker.objects.get(name="worker-t").pictures == 1

    # kill -9 in mid-render: its successor takes the job up by itself, and it is charged once.
    killed = ask(cast, settings, seed=8).jobs.get()
    stop_in_mid_render(render_worker, killed)
    render_worker.send(signal.SIGKILL)
    render_worker.ends()
    assert state(killed) == "running" and ledger(killed) == ["reserve"]
    render_worker.start()
    until(lambda: state(killed) == "done", 60)
    found = RenderJob.objects.get(pk=killed.pk)
    assert found.attempts == 2 and Asset.objects.filter(job=killed).count() == 1
    assert ledger(killed) == ["reserve", "settle"] and balance(cast.team) == (0, 2)

    # Frozen for longer than the lease: upkeep gives the job away, and the old process changes nothing.
    frozen = ask(cast, settings, seed=9).jobs.get()
    stop_in_mid_render(render_worker, frozen)
    RenderJob.objects.filter(pk=frozen.pk).update(lease_until=timezone.now())
    assert upkeep.take_back() == 1 and state(frozen) == "queued"
    render_worker.send(signal.SIGCONT)
    until(lambda: state(frozen) == "done", 60)
    assert RenderJob.objects.get(pk=frozen.pk).attempts == 2 and ledger(frozen) == ["reserve", "settle"]

    # Cancelled in mid-render: it stops within a step and costs nothing.
    cancelled = ask(cast, settings, seed=10).jobs.get()
    stop_in_mid_render(render_worker, cancelled)
    row = RenderJob.objects.select_related("batch", "campaign").get(pk=cancelled.pk)
    renders.cancel(user=cast.person("marketer"), jobs=[row])
    render_worker.send(signal.SIGCONT)
    until(lambda: Worker.objects.get(name="worker-t").state == "idle", 30)
    assert state(cancelled) == "cancelled" and ledger(cancelled) == ["reserve", "release"]

    # SIGTERM: the render that runs is finished, the rest waits for the next worker.
    batch = ask(cast, settings, seed=11, count=3)
    jobs = list(batch.jobs.order_by("position"))
    stop_in_mid_render(render_worker, jobs[0])
    render_worker.send(signal.SIGTERM)
    render_worker.send(signal.SIGCONT)
    assert render_worker.ends(60) == 0
    assert [state(j) for j in jobs] == ["done", "queued", "queued"]
    assert Worker.objects.get(name="worker-t").state == "stopped"
    render_worker.start()
    until(lambda: {state(j) for j in jobs} == {"done"}, 60)
    assert set(RenderJob.objects.filter(batch=batch).values_list("attempts", flat=True)) == {1}
    assert balance(cast.team) == (0, 6) and quotas.mismatches() == []


def test_a_worker_without_a_usable_model_ends_with_a_reason(
    cast: Cast, broker: str, tmp_path: Any, real_queue: None,
) -> None:
    broken = RenderWorker(tmp_path, broker, tmp_path / "nothing")
    with pytest.raises(AssertionError, match="There is no model folder at"):
        broken.start()
    assert broken.ends() != 0
    assert not Worker.objects.ready().exists()
