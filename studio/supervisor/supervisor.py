"""Starts the programs, keeps them alive, and ends them all on one signal."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from studio.supervisor.child import Child, Guard, Program

MAX_FAILURES = 5
GRACE_SECONDS = 7.0
SERVICE_GRACE_SECONDS = 1.5
READY_SECONDS = 180.0
_POLL = 0.1


class Failed(Exception):
    """A program could not be kept alive, or the studio never got ready."""


class Supervisor:
    """Runs `programs` until a signal comes or an essential one can't be kept alive.

    `is_ready` is asked a few times a second until it says True; then `on_ready` is called once.
    Everything happens in the calling thread, which must be the main one.
    """

    def __init__(
        self, programs: Sequence[Program], *, say: Callable[[str], None], is_ready: Callable[[], bool],
        on_ready: Callable[[], None], ready_seconds: float = READY_SECONDS, grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._programs = programs
        self._say = say
        self._is_ready = is_ready
        self._on_ready = on_ready
        self._ready_seconds = ready_seconds
        self._grace_seconds = grace_seconds
        self._children: list[Child] = []
        self._guard = Guard()
        self._ready = False
        self._signals = 0

    def run(self) -> int:
        """Block until everything has ended. 0 after a signal, 1 after a failure."""
        with self._catching_signals():
            try:
                self._children = [Child(program, self._guard) for program in self._programs]
                self._start()
                self._watch()
            except Failed as failure:
                self._say(str(failure))
                return 1
            finally:
                self._stop()
                self._guard.close()
        return 0

    def _start(self) -> None:
        deadline = time.monotonic() + self._ready_seconds
        for child in sorted(self._children, key=lambda child: not child.program.service):
            if self._signals:
                return
            child.start()
            self._wait_for(child, deadline)

    def _wait_for(self, child: Child, deadline: float) -> None:
        answers = child.program.answers
        while answers and not answers() and not self._signals:
            self._tick()
            self._check_deadline(deadline)
            time.sleep(0.01)

    def _watch(self) -> None:
        deadline = time.monotonic() + self._ready_seconds
        while not self._signals:
            self._tick()
            if not self._ready:
                if self._is_ready():
                    self._ready = True
                    self._on_ready()
                else:
                    self._check_deadline(deadline)
            time.sleep(_POLL)

    def _check_deadline(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            folder = self._programs[0].log.parent
            raise Failed(f"The studio was not ready after {self._ready_seconds:.0f} s. See the logs in {folder}.")

    def _tick(self) -> None:
        """Show what the logs say, take note of deaths, start again what is due."""
        self._guard.renew()
        for child in self._children:
            self._show_log(child)
            ended = child.reap()
            if ended:
                self._after_death(child, ended)
            elif child.due is not None and time.monotonic() >= child.due:
                child.start()

    def _after_death(self, child: Child, ended: str) -> None:
        self._show_log(child)
        delay = child.plan_restart()
        name, log = child.program.name, child.program.log
        # Before the first "ready" nothing is worth keeping for a part that can't start.
        if child.failures >= MAX_FAILURES and (child.program.essential or not self._ready):
            raise Failed(f"{name} failed {child.failures} times in a row ({ended}); the studio stops. See {log}.")
        self._say(f"{name} ended ({ended}); it starts again in {delay:.1f} s. See {log}.")

    def _stop(self) -> None:
        for services, grace in ((False, self._grace_seconds), (True, SERVICE_GRACE_SECONDS)):
            children = [child for child in self._children if child.program.service == services]
            signals_before = self._signals
            for child in children:
                child.terminate()
            deadline = time.monotonic() + grace
            while time.monotonic() < deadline and self._signals <= max(1, signals_before):
                for child in children:
                    self._show_log(child)
                    child.reap()
                if not any(child.running for child in children):
                    break
                time.sleep(0.02)
            for child in children:
                child.kill()

    def _show_log(self, child: Child) -> None:
        for line in child.tail.lines():
            self._say(f"[{child.program.name}] {line}")

    @contextmanager
    def _catching_signals(self) -> Iterator[None]:
        """Count SIGINT, SIGTERM and SIGHUP instead of dying of them; a second one hurries the stop."""
        def count(number: int, frame: FrameType | None) -> None:
            self._signals += 1

        before = {}
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # Started under nohup: the terminal's end is not ours.
            if not (number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN):
                before[number] = signal.signal(number, count)
        try:
            yield
        finally:
            for number, handler in before.items():
                with contextlib.suppress(TypeError):  # a handler that C code had set can't be put back
                    signal.signal(number, handler)
