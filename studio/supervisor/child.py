"""One child process: its own process group, its log file, its restarts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from studio.supervisor import guard
from studio.supervisor.logfiles import LogTail, rotate

FIRST_DELAY, LAST_DELAY = 0.2, 5.0
#: A process that has lived this long (seconds) was fine: its next death starts the delays anew.
SETTLED_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to run.

    `service`: others need it, so it starts before them (once `answers` says True) and stops after them.
    `essential`: when it can't be kept alive, the whole studio stops. `mend` is called before each restart
    that follows a quick death.
    """

    name: str
    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str]
    folder: Path
    service: bool = False
    essential: bool = False
    answers: Callable[[], bool] | None = None
    mend: Callable[[], None] | None = None


class Guard:
    """The helper process that kills the children's groups when this process dies without stopping them."""

    def __init__(self) -> None:
        self._groups: set[int] = set()
        self._process = self._start()

    def add(self, group: int) -> None:
        self._groups.add(group)
        self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        self._groups.discard(group)
        self._tell(f"-{group}\n")

    def renew(self) -> None:
        """Start another one when someone has killed it."""
        if self._process.poll() is not None:
            self._process = self._start()

    def close(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # killed; the next one is told by `renew`
            self._process.stdin.write(line.encode())

    def _start(self) -> subprocess.Popen[bytes]:
        known = [str(group) for group in sorted(self._groups)]
        return subprocess.Popen(
            [sys.executable, "-I", "-S", str(guard.__file__), *known], bufsize=0, stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL, start_new_session=True)


class Child:
    """A program's process, now and after its restarts."""

    def __init__(self, program: Program, watcher: Guard) -> None:
        self.program = program
        self.tail = LogTail(program.log)
        self.failures = 0
        self.due: float | None = None
        self._guard = watcher
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        program.log.parent.mkdir(parents=True, exist_ok=True)
        rotate(program.log)

    @property
    def running(self) -> bool:
        return self._process is not None

    def start(self) -> None:
        """Start it in a session of its own, so that a Ctrl-C at the console reaches the supervisor only."""
        self.due = None
        with self.program.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.program.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=dict(self.program.environment), cwd=self.program.folder, start_new_session=True)
        self._started = time.monotonic()
        self._guard.add(self._process.pid)

    def reap(self) -> str | None:
        """None while it runs. Once it has ended: how, in words; what it left in its group is killed."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is None:
            return None
        self._signal_group(signal.SIGKILL)
        self._guard.remove(self._process.pid)
        self._process = None
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

    def plan_restart(self) -> float:
        """Set when to start again; return the delay in seconds."""
        lived = time.monotonic() - self._started
        self.failures = 1 if lived >= SETTLED_SECONDS else self.failures + 1
        if self.failures > 1 and self.program.mend:
            self.program.mend()
        delay = min(LAST_DELAY, FIRST_DELAY * 2.0 ** (self.failures - 1))
        self.due = time.monotonic() + delay
        return delay

    def terminate(self) -> None:
        """Ask the whole process group to end."""
        self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        """End the whole process group and wait for the child itself."""
        if self._process is not None:
            self._signal_group(signal.SIGKILL)
            self._process.wait()
            self.reap()

    def _signal_group(self, number: signal.Signals) -> None:
        # Its own session makes the child's id the id of its process group.
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
