"""Threads that start at the same moment, each with its own connection."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, Thread
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def race(*acts: Callable[[], T]) -> list[T | Exception]:
    """Run all `acts` at once; their results, or the exceptions they raised, in the order of `acts`."""
    barrier = Barrier(len(acts))
    results: list[T | Exception] = [RuntimeError("did not finish")] * len(acts)

    def run(place: int) -> None:
        try:
            barrier.wait(timeout=10)
            results[place] = acts[place]()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is this thread's result
            results[place] = error
        finally:
            connection.close()

    threads = [Thread(target=run, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive(), "a thread hangs: deadlock"
    return results


def kinds(results: list[T | Exception]) -> dict[str, int]:
    """How often each exception came out; what succeeded counts as `ok`."""
    counted: dict[str, int] = {}
    for result in results:
        name = type(result).__name__ if isinstance(result, Exception) else "ok"
        counted[name] = counted.get(name, 0) + 1
    return counted
