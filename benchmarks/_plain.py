"""The same picture by plain Celery: the message is the job, nothing is written down, nothing is told to anybody."""

from __future__ import annotations

import os
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from celery import Celery
from PIL import Image

app = Celery("plain", broker=os.environ.get("BROKER_URL", "memory://"), set_as_current=False)
app.conf.update(task_default_queue="plain", task_ignore_result=True, worker_prefetch_multiplier=1)


@app.task(name="plain.render")  # type: ignore[untyped-decorator]  # Celery has no types
def render(payload: dict[str, Any]) -> None:
    """Sleep, encode, store."""
    for _ in range(payload["steps"]):
        if payload["step_ms"]:
            time.sleep(payload["step_ms"] / 1000)
    out = BytesIO()
    Image.new("RGB", (payload["width"], payload["height"]), (payload["seed"] % 256, 90, 200)).save(out, "PNG")
    Path(payload["folder"], f"{os.getpid()}.{payload['key']}.png").write_bytes(out.getvalue())
