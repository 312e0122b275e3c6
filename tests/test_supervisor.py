"""The supervisor against real processes: restarts, the end of everything, the log files, the checks."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from studio.supervisor import checks, guard, redis
from studio.supervisor.checks import Refused
from studio.supervisor.logfiles import KEPT, LogTail, rotate

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.embedded_only

#: A studio in small: the arguments are a folder, `essential` or not, and one script for each child.
STUDIO = """
import os, sys
from pathlib import Path
from studio.supervisor.child import Program
from studio.supervisor.supervisor import Supervisor
folder, essential, *scripts = sys.argv[1:]
programs = [
    Program(name=f"child{n}", command=(sys.executable, "-c", script), log=Path(folder) / "logs" / f"child{n}.log",
            environment={**os.environ, "PIDS": str(Path(folder) / "pids")}, folder=Path(folder),
            service=n == 0, essential=essential == "essential")
    for n, script in enumerate(scripts)]
say = lambda line: print(line, flush=True)
sys.exit(Supervisor(programs, say=say, is_ready=lambda: True, on_ready=lambda: say("ready")).run())
"""
NOTE_PID = "import os, signal, subprocess, sys, time; open(os.environ['PIDS'], 'a').write(f'{os.getpid()}\\n'); "
SLEEP = NOTE_PID + "time.sleep(600)"
STUBBORN = NOTE_PID + "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
PARENT = NOTE_PID + f"subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); time.sleep(600)"
CRASH = NOTE_PID + "sys.exit(3)"


class Studio:
    """The small studio, its console and the processes that it has had."""

    def __init__(self, folder: Path, *scripts: str, essential: bool = False) -> None:
        self.folder = folder
        self.console = folder / "console"
        with self.console.open("wb") as console:
            self.process = subprocess.Popen(
                [sys.executable, "-c", STUDIO, str(folder), "essential" if essential else "-", *scripts],
                cwd=ROOT, stdout=console, stderr=subprocess.STDOUT)

    def pids(self) -> list[int]:
        file = self.folder / "pids"
        return [int(line) for line in file.read_text().split()] if file.exists() else []

    def living(self) -> list[int]:
        return [pid for pid in self.pids() if _lives(pid)]

    def text(self) -> str:
        return self.console.read_text()


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Callable[..., Studio]]:
    made: list[Studio] = []

    def make(*scripts: str, essential: bool = False) -> Studio:
        made.append(Studio(tmp_path, *scripts, essential=essential))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.wait()
        for pid in one.living():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _guards(small: Studio) -> list[int]:
    children = psutil.Process(small.process.pid).children()
    return [child.pid for child in children if _lives(child.pid) and guard.__file__ in child.cmdline()]


def _until(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_child_that_dies_is_started_again(studio: Callable[..., Studio]) -> None:
    small = studio(SLEEP, SLEEP)
    _until(lambda: len(small.pids()) == 2)
    os.kill(small.pids()[0], signal.SIGKILL)
    _until(lambda: len(small.pids()) == 3)
    assert len(small.living()) == 2
    assert "ended (signal SIGKILL); it starts again in 0.2 s" in small.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_ends_everything(studio: Callable[..., Studio], number: signal.Signals) -> None:
    small = studio(SLEEP, SLEEP, PARENT)
    _until(lambda: len(small.pids()) == 4)
    small.process.send_signal(number)
    assert small.process.wait(timeout=10) == 0
    assert small.living() == []


def test_a_child_that_ignores_the_signal_is_killed_within_ten_seconds(studio: Callable[..., Studio]) -> None:
    small = studio(STUBBORN, STUBBORN)
    _until(lambda: len(small.pids()) == 2 and "ready" in small.text())
    small.process.terminate()
    assert small.process.wait(timeout=10) == 0
    assert small.living() == []


def test_a_second_signal_does_not_wait(studio: Callable[..., Studio]) -> None:
    small = studio(SLEEP, STUBBORN)
    _until(lambda: len(small.pids()) == 2 and "ready" in small.text())
    began = time.monotonic()
    small.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    small.process.send_signal(signal.SIGINT)
    assert small.process.wait(timeout=10) == 0
    assert time.monotonic() - began < 4
    assert small.living() == []


def test_nothing_outlives_a_killed_supervisor(studio: Callable[..., Studio]) -> None:
    small = studio(SLEEP, STUBBORN, PARENT)
    _until(lambda: len(small.pids()) == 4)
    small.process.kill()
    _until(lambda: small.living() == [], seconds=3)


def test_a_killed_guard_is_replaced(studio: Callable[..., Studio]) -> None:
    small = studio(SLEEP, SLEEP)
    _until(lambda: len(small.pids()) == 2)
    first = _guards(small)
    assert len(first) == 1
    os.kill(first[0], signal.SIGKILL)
    _until(lambda: _guards(small) not in ([], first))
    small.process.kill()
    _until(lambda: small.living() == [], seconds=3)


def test_an_essential_child_that_keeps_failing_stops_the_studio(studio: Callable[..., Studio]) -> None:
    small = studio(SLEEP, CRASH, essential=True)
    assert small.process.wait(timeout=20) == 1
    assert small.living() == []
    assert "child1 failed 5 times in a row (exit code 3); the studio stops." in small.text()
    assert len(small.pids()) == 6


def test_the_console_shows_warnings_and_tracebacks_only(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    tail = LogTail(log)
    assert tail.lines() == []
    log.write_text(
        "2026-01-01T00:00:00Z [info     ] quiet\nINFO:     quiet\n2026-01-01T00:00:00Z [warning  ] disk low\n"
        "2026-01-01T00:00:00Z [error    ] broke\nTraceback (most recent call last):\n  File x\nValueError: y\n"
        "INFO:     quiet again\nnot a header\nERROR:    late")
    shown = tail.lines()
    assert [line.split()[-1] for line in shown] == ["low", "broke", "last):", "x", "y"]
    with log.open("a") as file:
        file.write(" line\n")
    assert tail.lines() == ["ERROR:    late line"]


def test_logs_of_the_last_starts_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    for start in range(6):
        rotate(log)
        log.write_text(f"start {start}")
    assert log.read_text() == "start 5"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["web.log", *(f"web.log.{n + 1}" for n in range(KEPT))]
    assert (tmp_path / "web.log.1").read_text() == "start 4"


def test_a_long_log_is_cut_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    tail = LogTail(log, max_bytes=100)
    with log.open("ab", buffering=0) as child:
        child.write(b"ERROR: " + b"x" * 200 + b"\n")
        assert len(tail.lines()) == 1
        child.write(b"ERROR: after\n")
    assert tail.lines() == ["ERROR: after"]
    assert log.stat().st_size == len(b"ERROR: after\n")
    assert (tmp_path / "web.log.1").stat().st_size == 208


def test_a_socket_path_that_the_kernel_or_a_url_refuses_moves_to_a_short_one(tmp_path: Path) -> None:
    for awkward in (tmp_path / ("long" * 30), tmp_path / "营销 studio"):
        with checks.socket_folder(awkward) as folder:
            assert folder != awkward
            assert len(os.fsencode(folder / "redis.sock")) < checks.MAX_SOCKET_PATH
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert not folder.exists()


def test_redis_answers_on_its_private_socket(tmp_path: Path) -> None:
    data = tmp_path / "redis"
    redis.forget(data)
    with checks.socket_folder(tmp_path / "run") as folder:
        server = subprocess.Popen(redis.command(redis.binary(), folder=folder, data=data), stdout=subprocess.DEVNULL)
        try:
            _until(lambda: redis.answers(folder))
            assert stat.S_IMODE((folder / "redis.sock").stat().st_mode) == 0o700
            assert not psutil.Process(server.pid).net_connections(kind="inet")
        finally:
            server.kill()
            server.wait()
        assert not redis.answers(folder)


def test_a_second_studio_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "run" / "lock"
    with checks.only_one(lock), pytest.raises(Refused, match=f"process {os.getpid()}"), checks.only_one(lock):
        pass
    with checks.only_one(lock):
        pass


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    checks.disk_has_room(tmp_path / "var")
    with pytest.raises(Refused, match=r"is full: \d+ MB free"):
        checks.disk_has_room(tmp_path, free_bytes=10**18)
    (tmp_path / "file").touch()
    with pytest.raises(Refused, match="can't be written"):
        checks.disk_has_room(tmp_path / "file" / "var")


def test_a_port_out_of_range_is_refused() -> None:
    for port in (0, -1, 65536):
        with pytest.raises(Refused, match=f"PORT={port}"):
            checks.port_is_free(port)


def test_a_taken_port_is_one_line_and_an_exit_code(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen(1)
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "manage.py", "runstudio", "--port", str(port)], cwd=ROOT, capture_output=True, text=True,
            env={**os.environ, "VAR_DIR": str(tmp_path / "var")}, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"Port {port} is taken by another program; use PORT={port + 1 if port < 65535 else 8000} make run"]
