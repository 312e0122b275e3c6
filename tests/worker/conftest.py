"""A real render worker: Celery in a process of its own, Redis between, the demo model inside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery
from django.conf import settings
from django.db import connection

from studio import queue
from studio.models import RenderJob, Worker
from tests.conftest import Cast, make_cast

ROOT = Path(__file__).resolve().parents[2]


def until(condition: Callable[[], Any], seconds: float = 60, what: str = "") -> None:
    """Wait for it; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not in {seconds} s: {what or condition}"
        time.sleep(0.02)


class RenderWorker:
    """One worker process after the other, all with the same name."""

    def __init__(self, folder: Path, broker: str, model: Path | None) -> None:
        """Without `model` the worker follows the registry."""
        self.log = folder / "worker.log"
        database = connection.settings_dict
        self._environment = os.environ | {
            "BROKER_URL": broker, "REDIS_URL": broker, "VAR_DIR": str(settings.VAR_DIR), "WORKER_NAME": "worker-t",
            "MODEL_DIR": str(model or ""), "MODEL_THREADS": "1", "MODEL_DEVICE": "cpu", "LEASE_SECONDS": "4",
            "DJANGO_SETTINGS_MODULE": "zimage_web.settings", "STUDIO_TEST_DATABASE": str(database["NAME"])}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start one; returns once its model is loaded."""
        Worker.objects.filter(name="worker-t").delete()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _CELERY, "-A", "zimage_web", "worker", "-Q", "render", "--pool", "solo",
                 "--without-gossip", "--without-mingle", "-n", f"test-{os.getpid()}@%h"],
                cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        until(lambda: self._alive() and Worker.objects.ready().filter(name="worker-t").exists(), 90, "worker ready")

    def _alive(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.log.read_text()[-3000:]
        return True

    def send(self, number: int) -> None:
        """A signal to the process."""
        assert self.process is not None
        self.process.send_signal(number)

    def ends(self, seconds: float = 30) -> int:
        """Its exit code, once it has ended."""
        assert self.process is not None
        return self.process.wait(seconds)

    def clear(self) -> None:
        """End what still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)


#: Celery's command line on the test's database instead of the one in the settings.
_CELERY = """
import os, sys
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["STUDIO_TEST_DATABASE"]
from celery.__main__ import main
sys.argv[0] = "celery"
sys.exit(main())
"""


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Committed: the worker is another process."""
    return make_cast()


@pytest.fixture
def broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The tests' Redis, without old wake-ups; those of this process go there too."""
    url = os.environ.get("REDIS_URL") or "redis://127.0.0.1:6379/15"
    client = redis.Redis.from_url(url)
    _forget(client)
    monkeypatch.setattr(queue, "current_app", Celery("test", broker=url, set_as_current=False))
    yield url
    _forget(client)
    client.close()


def _forget(client: redis.Redis) -> None:
    """Remove what Celery keeps there, and nothing else."""
    client.delete("render", "unacked", "unacked_index", "unacked_mutex", "_kombu.binding.render")


@pytest.fixture
def render_worker(cast: Cast, broker: str, tmp_path: Path) -> Iterator[RenderWorker]:
    """A worker that is ready; whatever runs at the end is ended."""
    made = RenderWorker(tmp_path, broker, settings.MODEL_DIR)
    try:
        made.start()
        yield made
    finally:
        made.clear()  # also one that did not get ready in time


def state(job: RenderJob) -> str:
    """The job's status now."""
    return str(RenderJob.objects.values_list("status", flat=True).get(pk=job.pk))
