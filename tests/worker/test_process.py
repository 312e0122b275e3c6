"""How a render worker starts and reports, without a process of its own."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db import OperationalError
from django.utils import timezone

from studio.services import models, occupancy, rendering, upkeep, workers
from studio.worker import process


def celery(*queues: str) -> Any:
    return SimpleNamespace(app=SimpleNamespace(amqp=SimpleNamespace(queues=SimpleNamespace(consume_from=queues))))


def away(*args: object, **kwargs: object) -> None:
    raise OperationalError("away")


@pytest.mark.parametrize("first", ["starting", "take_back"])
def test_a_worker_that_finds_no_database_ends_instead_of_taking_jobs_without_a_model(
    monkeypatch: pytest.MonkeyPatch, first: str,
) -> None:
    for module, name in ((workers, "starting"), (workers, "stopped"), (upkeep, "take_back")):
        monkeypatch.setattr(module, name, away if name in (first, "stopped") else lambda *args, **kwargs: 0)
    with pytest.raises(SystemExit):
        process.start("sender", celery("render"))


def test_the_upkeep_worker_loads_no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "starting", away)
    process.start("sender", celery("upkeep"))
    assert process._renderer is None


def test_the_gpus_memory_is_asked_of_an_engine_that_knows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_renderer", SimpleNamespace(gpu_memory=lambda: (3, 80)))
    monkeypatch.setattr(process, "_gpu_memory", None)
    process._look_at_memory()
    assert process._gpu_memory == (3, 80)
    monkeypatch.setattr(process, "_renderer", SimpleNamespace())
    process._look_at_memory()
    assert process._gpu_memory is None


def test_a_check_between_two_pictures_is_no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, queued = occupancy.of(settings.WORKER_NAME), timezone.now()
    for checks, gap in ((0, True), (1, False)):
        with clock.rendering(queued):
            pass
        clock.take()
        monkeypatch.setattr(models, "run_checks", lambda checks=checks: checks)
        assert process._checked() is bool(checks)
        with clock.rendering(queued):
            pass
        assert (clock.take()[1] > 0) is gap


def test_the_heartbeat_survives_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, seen = threading.Event(), []

    def look(name: str, gpu_memory: object) -> None:
        seen.append(name)
        if len(seen) == 1:
            raise OperationalError("away")
        stop.set()

    monkeypatch.setattr(process, "_stop", stop)
    monkeypatch.setattr(process, "BEAT_SECONDS", 0.001)
    monkeypatch.setattr(process, "close_old_connections", lambda: None)
    monkeypatch.setattr(workers, "seen", look)
    monkeypatch.setattr(rendering, "renew_held", lambda: None)
    process.heartbeat()
    assert len(seen) == 2
