"""How much of its time a renderer works, and how long it stands still while a picture is queued."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from time import perf_counter

from django.utils import timezone


class Occupancy:
    """Milliseconds of one worker that were not written down yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the heartbeat and the finisher take what the render's thread adds
        self._busy = self._gap = 0.0
        self._ended: tuple[float, datetime] | None = None  # the last render, by two clocks

    @contextmanager
    def rendering(self, queued_at: datetime) -> Iterator[None]:
        """Count as busy; and as a gap what lies between the last render and this one, queued before that ended."""
        began = perf_counter()
        if self._ended and queued_at <= self._ended[1]:
            with self._lock:
                self._gap += (began - self._ended[0]) * 1000
        try:
            yield
        finally:
            self._ended = perf_counter(), timezone.now()
            with self._lock:
                self._busy += (self._ended[0] - began) * 1000

    def rest(self) -> None:
        """Nothing was queued, or something else had to be done first: what follows is no gap."""
        self._ended = None

    def take(self) -> tuple[float, float]:
        """(busy, gap) since the last call."""
        with self._lock:
            taken = self._busy, self._gap
            self._busy = self._gap = 0.0
        return taken


_workers: defaultdict[str, Occupancy] = defaultdict(Occupancy)


def of(worker: str) -> Occupancy:
    """That worker's; a process has one, tests may have several."""
    return _workers[worker]
