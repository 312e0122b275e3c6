"""Questions to services that may hang: asked in a thread, so that whoever waits for the answer can stop waiting."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, wait
from time import monotonic

from django.db import connections

#: Answers by what they are about.
Answer = dict[str, bool]
#: Seconds after which a thread that hangs is left alone and another one asks.
GIVEN_UP = 30.0


class Probe:
    """One question, asked by one thread at a time: however many ask meanwhile, all get the same answer.

    `ask` must not raise; if it does all the same, its answer is no. `keep`: seconds for which an answer is good.
    """

    def __init__(self, about: Iterable[str], ask: Callable[[], Answer], *, keep: float = 0.0) -> None:
        self.no: Answer = dict.fromkeys(about, False)
        self._ask, self._keep = ask, keep
        self._lock = threading.Lock()
        self._answer: Future[Answer] | None = None
        self._begun = 0.0

    def asked(self) -> Future[Answer]:
        """The answer, when it comes."""
        with self._lock:
            good_for = self._keep if self._answer and self._answer.done() else GIVEN_UP
            if self._answer is None or monotonic() - self._begun >= good_for:
                self._answer, self._begun = Future(), monotonic()
                # A daemon: a service that hangs must not keep the process from ending.
                threading.Thread(target=self._run, args=(self._answer,), name="probe", daemon=True).start()
            return self._answer

    def _run(self, answer: Future[Answer]) -> None:
        found = self.no
        try:
            found = self._ask()
        finally:
            try:
                connections.close_all()  # this thread's
            finally:
                answer.set_result(found)


def answers(probes: Iterable[Probe], *, seconds: float) -> Answer:
    """What all of them say within `seconds`; what has not been answered by then is a no."""
    asked = [(probe, probe.asked()) for probe in probes]
    wait([future for _probe, future in asked], timeout=seconds)
    found: Answer = {}
    for probe, future in asked:
        found |= future.result() if future.done() else probe.no
    return found
