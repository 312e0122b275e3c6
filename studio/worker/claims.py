"""Claims the next job while the last one is being finished, so that the GPU does not wait for the database."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from django.db import connections

from studio.models import RenderJob
from studio.services import delivery, dispatch


class Claims:
    """A `rendering.Claims` with one thread. At most one job is claimed ahead; at the end it is given back."""

    def __init__(self, worker: str) -> None:
        self._worker = worker
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="claims")
        self._next: Future[RenderJob | None] | None = None

    def soon(self) -> None:
        """The next job will be wanted in a moment."""
        if self._next is None:
            self._next = self._pool.submit(dispatch.claim_next, self._worker, ahead=True)

    def take(self) -> RenderJob | None:
        """The next job; None when nothing is queued. What the database raises is raised here."""
        ahead, self._next = self._next, None
        found = ahead.result() if ahead else None
        return found if found and dispatch.begin(found) else dispatch.claim_next(self._worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Give back what was claimed and is not wanted any more."""
        ahead, self._next = self._next, None
        try:
            job = ahead.result() if ahead else None
            if job is not None:
                delivery.hand_back(job)
        finally:
            self._pool.submit(connections.close_all).result()
            self._pool.shutdown()
