from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, current_app
from django.conf import settings as django_settings
from django.db import InterfaceError, OperationalError, connections
from django.test import Client
from django.utils import timezone

from studio import queue, storage
from studio.models import Worker
from studio.supervisor import redis
from studio.web.views import health
from tests.factories import worker
from tests.stack import free_port

#: Far below the 10 and 20 s of what hangs, and far above READY_SECONDS: the machine may be busy.
LATE = 8.0
#: The probes look from threads of their own.
committed = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _ask_anew() -> None:
    """What an earlier test was told is not kept."""
    for probe in health.probes:
        probe._answer = None


def ready(client: Client, status: int) -> dict[str, bool]:
    response = client.get("/readyz")
    found: dict[str, bool] = response.json()
    assert response.status_code == status and found.pop("ok") is (status == 200)
    return found


def test_the_web_process_answers(client: Client) -> None:
    assert client.get("/healthz").json() == {"ok": True}


@committed
def test_ready_means_database_broker_storage_and_a_worker(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    me = worker()
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"ok": True, "database": True, "broker": True, "storage": True, "worker": True}
    Worker.objects.filter(pk=me.pk).update(seen_at=timezone.now() - timedelta(minutes=1))
    response = client.get("/readyz")
    assert response.status_code == 503 and response.json()["worker"] is False
    monkeypatch.setattr(queue, "answers", lambda: False)
    assert client.get("/readyz").json() == {
        "ok": False, "database": True, "broker": False, "storage": True, "worker": False}


@committed
@pytest.mark.parametrize("error", [OperationalError("away"), InterfaceError("the connection is closed")])
def test_a_database_that_is_away_is_said(
    client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception,
) -> None:
    def away(*args: object) -> None:
        raise error

    with monkeypatch.context() as broken:
        broken.setattr(type(connections["default"]), "cursor", away)  # of every thread
        response = client.get("/readyz")
    assert response.status_code == 503 and response.json()["database"] is False


def test_a_broker_nobody_answers_at_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def __enter__(self) -> Away:
            return self

        def __exit__(self, *args: object) -> None:
            pass

        def ensure_connection(self, **options: object) -> None:
            raise OSError("refused")

    monkeypatch.setattr(current_app, "connection_for_write", lambda **options: Away())
    assert queue.answers() is False


@committed
def test_a_redis_that_goes_hangs_and_comes_back(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    worker()
    with tempfile.TemporaryDirectory(prefix="hz-") as name, ExitStack() as held:
        folder = Path(name)
        monkeypatch.setattr(queue, "current_app", Celery("test", broker=redis.urls(folder)[1], set_as_current=False))
        assert ready(client, 503) == {"database": True, "broker": False, "storage": True, "worker": True}

        def start() -> subprocess.Popen[bytes]:
            server = subprocess.Popen(
                redis.command(redis.binary(), folder=folder, data=folder), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL)
            held.callback(server.wait)
            held.callback(server.kill)
            while not redis.answers(folder):
                time.sleep(0.01)
            return server

        server = start()
        assert ready(client, 200)["broker"] is True
        server.send_signal(signal.SIGSTOP)  # it still takes connections, and says nothing
        began = time.monotonic()
        assert ready(client, 503)["broker"] is False
        assert time.monotonic() - began < LATE
        server.send_signal(signal.SIGCONT)
        end = time.monotonic() + 10
        while not client.get("/readyz").json()["broker"]:  # no restart is needed
            assert time.monotonic() < end
        server.kill()
        server.wait()
        assert ready(client, 503)["broker"] is False


@committed
def test_a_storage_that_is_away_is_said_and_not_asked_all_the_time(
    client: Client, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker()
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    settings.STORAGES = settings.STORAGES | {"default": {
        "BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": blocked / "media"}}}
    assert ready(client, 503) == {"database": True, "broker": True, "storage": False, "worker": True}
    blocked.unlink()
    assert ready(client, 503)["storage"] is False  # as a moment ago
    monkeypatch.setattr(health.probes[-1], "_keep", 0.0)
    assert ready(client, 200)["storage"] is True
    assert list((blocked / "media").iterdir()) == []  # it leaves nothing behind


def test_a_disk_with_hardly_any_room_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    storage.check()
    monkeypatch.setattr(storage, "ROOM", 2**62)
    with pytest.raises(storage.StorageFull):
        storage.check()


@contextmanager
def deaf() -> Iterator[int]:
    """The port of a service that takes connections and never says a word."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(100)
        yield server.getsockname()[1]


@contextmanager
def web(**environment: str) -> Iterator[str]:
    """The address of a web process in the production shape."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "zimage_web.asgi:application", "--port", str(port), "--lifespan", "off",
         "--timeout-graceful-shutdown", "1"],
        cwd=django_settings.BASE_DIR, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | {"STUDIO_SHAPE": "production", "SECRET_KEY": "x" * 40, **environment})
    try:
        end = time.monotonic() + 60
        while True:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            except OSError:
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        # Not kept from ending by what still hangs.
        assert process.wait(10) in (0, -signal.SIGTERM)


def get(url: str) -> tuple[int, dict[str, bool], float]:
    """Status, JSON and seconds."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            status, body = response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            status, body = error.code, error.read()
    return status, json.loads(body or "{}"), time.monotonic() - began


@pytest.mark.slow
def test_it_answers_in_time_when_every_service_hangs() -> None:
    with deaf() as port, web(
            DATABASE_URL=f"postgres://me:secret@127.0.0.1:{port}/x", REDIS_URL=f"redis://127.0.0.1:{port}/0",
            BROKER_URL=f"amqp://127.0.0.1:{port}//", STORAGE="s3", S3_BUCKET="x", S3_ACCESS_KEY="x", S3_SECRET_KEY="y",
            S3_ENDPOINT_URL=f"http://127.0.0.1:{port}", METRICS_TOKEN="x" * 16) as url:
        for _ in range(3):
            status, found, seconds = get(f"{url}/readyz")
            assert status == 503 and seconds < LATE
            assert found == {"ok": False, "database": False, "broker": False, "storage": False, "worker": False}
        status, found, seconds = get(f"{url}/healthz")
        assert (status, found) == (200, {"ok": True}) and seconds < LATE
        assert get(f"{url}/metrics")[0] == 401  # no redirect to HTTPS: a scraper may come without the proxy
