"""Real Celery workers over a real Redis: messages as the truth lose pictures; ours are found again."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from celery import Celery
from django.conf import settings
from django.utils import timezone

from studio import checkpoint, queue
from studio.models import RenderJob
from studio.services import quotas, renders, upkeep
from studio.supervisor.child import Guard
from tests.chaos.servers import Redis
from tests.conftest import Cast
from tests.factories import balance, ledger, render_request
from tests.stack import ROOT
from tests.worker.conftest import RenderWorker, state, until

pytestmark = [pytest.mark.services, pytest.mark.slow, pytest.mark.xdist_group("worker")]


@pytest.fixture
def own_redis() -> Iterator[Redis]:
    """A server whose data may be lost."""
    guard = Guard()
    with tempfile.TemporaryDirectory(prefix="naive-") as folder:
        server = Redis(Path(folder), guard)
        server.start()
        yield server
        server.stop()
    guard.close()


class NaiveWorker:
    """A worker for the tasks of tests/worker/naive.py."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self._redis, self._folder = redis, folder
        self._app = Celery("naive-sender", broker=redis.broker_url, set_as_current=False)
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self._started.append(subprocess.Popen(
            [sys.executable, "-m", "celery", "-b", self._redis.broker_url, "-A", "tests.worker.naive", "worker",
             "-Q", "naive", "--pool", "solo", "--without-gossip", "--without-mingle", "-n", f"{uuid4().hex}@localhost"],
            cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def send(self, task: str, name: str, seconds: float = 0.0) -> Path:
        """Ask for a picture; its files appear in the folder that comes back."""
        folder = self._folder / name
        folder.mkdir()
        self._app.send_task(f"naive.{task}", [str(folder), seconds], queue="naive")
        return folder

    def signal(self, number: int) -> None:
        self._started[-1].send_signal(number)

    def close(self) -> None:
        for process in self._started:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


@pytest.fixture
def naive(own_redis: Redis, tmp_path: Path) -> Iterator[NaiveWorker]:
    made = NaiveWorker(own_redis, tmp_path)
    made.start()
    yield made
    made.close()


@pytest.fixture
def ours(
    cast: Cast, own_redis: Redis, tmp_path: Path, real_queue: None, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[RenderWorker]:
    """A ready render worker whose renderer sleeps 0.1 s a step."""
    monkeypatch.setattr(queue, "current_app", Celery("test", broker=own_redis.broker_url, set_as_current=False))
    made = RenderWorker(tmp_path, own_redis.broker_url, settings.MODEL_DIR)
    made._environment |= {"REDIS_URL": own_redis.url, "DJANGO_SETTINGS_MODULE": "tests.chaos.settings",
                          "CHAOS_STEP_MS": "100"}
    made.start()
    yield made
    made.clear()


def ask(cast: Cast, seed: int) -> RenderJob:
    return renders.request_render(
        user=cast.person("marketer"), campaign=cast.campaign, request=render_request(count=1, seed=seed),
        request_key=uuid4(), card=checkpoint.read_card(settings.MODEL_DIR), today=timezone.localdate()).jobs.get()


def test_acknowledged_early_a_picture_is_lost_with_its_worker(naive: NaiveWorker) -> None:
    picture = naive.send("early", "picture", seconds=60)
    until(picture.joinpath("begun").exists)
    naive.signal(signal.SIGKILL)
    naive.start()
    # The next worker is well, and has nothing else to do.
    until(naive.send("early", "later").joinpath("done").exists)
    until(naive.send("early", "last").joinpath("done").exists)
    assert not picture.joinpath("done").exists()


def test_messages_as_truth_are_lost_with_the_data_of_redis(naive: NaiveWorker, own_redis: Redis) -> None:
    """Late acknowledgement helps nothing: the message itself is gone."""
    until(naive.send("late", "first").joinpath("done").exists)
    naive.signal(signal.SIGSTOP)
    pictures = [naive.send("late", f"picture-{number}") for number in range(3)]
    own_redis.lose_everything()
    naive.signal(signal.SIGCONT)
    until(naive.send("late", "last").joinpath("done").exists)
    # The first was under way to the worker that waited; the others lay in Redis.
    assert not any(picture.joinpath("begun").exists() for picture in pictures[1:])


def test_ours_survive_both(
    cast: Cast, ours: RenderWorker, own_redis: Redis, monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed = ask(cast, 1)
    until(lambda: RenderJob.objects.filter(pk=killed.pk, step__gte=2).exists())
    ours.send(signal.SIGKILL)
    ours.ends()
    ours.start()
    until(lambda: state(killed) == "done")
    assert RenderJob.objects.get(pk=killed.pk).attempts == 2 and ledger(killed) == ["reserve", "settle"]

    monkeypatch.setattr(upkeep, "STALE", timedelta(0))
    ours.send(signal.SIGSTOP)
    unheard = [ask(cast, seed) for seed in (2, 3, 4)]
    own_redis.lose_everything()
    ours.send(signal.SIGCONT)
    until(lambda: upkeep.wake_stale() == 0 and {state(job) for job in unheard} == {"done"})
    assert balance(cast.team) == (0, 4) and quotas.mismatches() == []
