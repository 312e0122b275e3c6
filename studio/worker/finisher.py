"""Stores pictures beside the next render, so that the GPU does not wait for encoder and storage."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from django.db import connections


class Finisher:
    """A `rendering.Later` with one thread. At most one picture is stored while another one waits.

    What the work raises is raised to whoever hands over the next picture, or at the end.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="finisher")
        self._last: Future[None] | None = None

    def later(self, work: Callable[[], None]) -> None:
        """Do `work` after the work before it; wait until that has ended."""
        before, self._last = self._last, self._pool.submit(work)
        if before is not None:
            before.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Wait for what is under way."""
        last, self._last = self._last, None
        try:
            if last is not None:
                last.result()
        finally:
            self._pool.submit(connections.close_all).result()
            self._pool.shutdown()
