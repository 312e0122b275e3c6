"""Celery as people often use it: the message is the job. `tests/worker/test_naive_celery.py` shows what gets lost."""

from __future__ import annotations

import os
import time
from pathlib import Path

from celery import Celery

app = Celery("naive", broker=os.environ.get("NAIVE_BROKER", "memory://"), set_as_current=False)
app.conf.update(task_default_queue="naive", task_ignore_result=True, worker_prefetch_multiplier=1)


@app.task(name="naive.early", acks_late=False)  # type: ignore[untyped-decorator]  # Celery has no types
def early(folder: str, seconds: float) -> None:
    """Acknowledged before it begins, which is Celery's default."""
    _render(Path(folder), seconds)


@app.task(  # type: ignore[untyped-decorator]  # Celery has no types
    name="naive.late", acks_late=True, reject_on_worker_lost=True)
def late(folder: str, seconds: float) -> None:
    """Acknowledged when it has ended."""
    _render(Path(folder), seconds)


def _render(folder: Path, seconds: float) -> None:
    folder.joinpath("begun").touch()
    time.sleep(seconds)
    folder.joinpath("done").touch()
