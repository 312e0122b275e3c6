"""The whole studio as `make run` starts it: real processes, the demo model, one signal."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.render, pytest.mark.embedded_only]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Run:
    """One `manage.py runstudio` on a folder, with what it printed."""

    def __init__(self, var: Path, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.console = var.parent / "console"
        unset = {"DATABASE_URL", "REDIS_URL", "BROKER_URL", "STUDIO_SHAPE"}
        environment = {name: value for name, value in os.environ.items() if name not in unset}
        with self.console.open("wb") as console:
            self.process = psutil.Popen(
                [sys.executable, "manage.py", "runstudio", "--port", str(port)], cwd=ROOT, stdout=console,
                stderr=subprocess.STDOUT, env={**environment, "VAR_DIR": str(var)})

    def wait_until_ready(self) -> None:
        self.wait_for(f"Studio ready at {self.url}")

    def wait_for(self, line: str) -> None:
        deadline = time.monotonic() + 120
        while line not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def text(self) -> str:
        return self.console.read_text(encoding="utf-8")

    def family(self) -> list[psutil.Process]:
        found: list[psutil.Process] = self.process.children(recursive=True)
        return found


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Run]:
    started = Run(tmp_path / "var", _free_port())
    yield started
    if started.process.is_running():
        started.process.terminate()
        started.process.wait(15)


@pytest.fixture
def run(starting: Run) -> Run:
    starting.wait_until_ready()
    return starting


def test_the_studio_starts_and_stops_as_one(run: Run, tmp_path: Path) -> None:
    logins = json.loads((tmp_path / "var" / "demo-logins.json").read_text(encoding="utf-8"))
    assert stat.S_IMODE((tmp_path / "var" / "demo-logins.json").stat().st_mode) == 0o600
    assert logins["url"] == run.url
    assert [account["role"] for account in logins["accounts"]] == ["marketer", "reviewer", "admin"]
    # The first start says how far its pictures are; what a newcomer finds is no empty sheet.
    assert "Rendering the first pictures: " in run.text().split("Studio ready")[0]
    for account in logins["accounts"]:
        assert account["email"] in run.text()
        assert account["password"] in run.text()
    with urllib.request.urlopen(f"{run.url}/readyz", timeout=5) as answer:
        assert json.load(answer)["ok"] is True
    family = run.family()
    addresses = {
        connection.laddr.ip for process in family for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN}
    assert addresses == {"127.0.0.1"}
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(10) == 0
    assert not [process for process in family if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_the_wait_for_the_first_pictures_can_be_ended(starting: Run) -> None:
    starting.wait_for("Rendering the first pictures: ")
    starting.process.send_signal(signal.SIGINT)
    assert starting.process.wait(10) == 0
    assert "Studio ready" not in starting.text()


def test_nothing_outlives_a_killed_studio(run: Run) -> None:
    family = run.family()
    # Redis, web, worker, upkeep with its clock, and the guard.
    assert len(family) == 6
    run.process.kill()
    run.process.wait(5)
    _gone, alive = psutil.wait_procs(family, timeout=5)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
