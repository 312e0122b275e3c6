"""How long the engine waits between two queued pictures: embedded shape, demo model on the CPU.

From the rows: a render begins when it is claimed, and lasts as long as its recipe says (text, steps, decoding).
What lies between the end of one and the begin of the next is idle time: closing the step, claiming, preparing.
Encoding, labelling and storing happen beside the next render. Target: under 2 % of the render time.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks._browser import SUBMIT, rows_of, sign_in, wait_until_idle
from tests.stack import running

REQUESTS = 24
TARGET = 0.02
ROWS = """SELECT job.created_at, job.started_at, asset.recipe
          FROM studio_renderjob job JOIN studio_asset asset ON asset.job_id = job.id
          WHERE job.batch_id > ? ORDER BY job.started_at"""
METRIC = "SELECT busy_ms, idle_ms FROM studio_worker"


def shares(rows: list[tuple[str, str, str]]) -> tuple[float, float, int]:
    """(seconds of rendering, seconds idle between two renders, gaps); only gaps in which the next one was waiting."""
    spans = []
    for created, started, recipe in rows:
        timings = json.loads(recipe)["timings"]
        begin, took = _epoch(started), timings["text"] + sum(timings["steps"]) + timings["decode"]
        spans.append((_epoch(created), begin, begin + took / 1000))
    gaps = [max(0.0, begin - ended) for (_asked, _begun, ended), (asked, begin, _ended) in pairwise(spans)
            if asked < ended]
    return sum(end - begin for _asked, begin, end in spans), sum(gaps), len(gaps)


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def worker_metric(database: sqlite3.Connection) -> tuple[float, float] | None:
    """What the worker counts itself, in seconds; None where it does not yet."""
    try:
        busy, idle = database.execute(METRIC).fetchone()
    except sqlite3.OperationalError:
        return None
    return busy / 1000, idle / 1000


def measure(var: Path, after: int) -> tuple[tuple[float, float, int], tuple[float, float] | None]:
    """(from the rows, from the worker)."""
    with sqlite3.connect(f"file:{var}/studio.sqlite3?mode=ro", uri=True) as database:
        return shares(database.execute(ROWS, [after]).fetchall()), worker_metric(database)


def main() -> int:
    """Print both; 1 when the target is missed."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("Chromium is not installed: it presses Render here.")
        return 1
    with running() as stack:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page()
            wait_until_idle(stack)
            sign_in(page, stack)
            [(after,)] = rows_of(stack, "SELECT MAX(id) FROM studio_renderbatch")
            for number in range(REQUESTS):
                assert page.evaluate(SUBMIT, 5000 + number)["status"] == 202
            browser.close()  # it would take the engine's cores
        wait_until_idle(stack)
        (busy, idle, gaps), own = measure(stack.var, after)
    print(f"render time {busy:.2f} s, idle between queued pictures {idle * 1000:.0f} ms in {gaps} gaps: "
          f"{idle / busy:.2%}")
    if own:
        print(f"the worker's own count over its whole life: busy {own[0]:.2f} s, idle {own[1]:.2f} s")
    met = idle / busy < TARGET
    print(f"Target {'met' if met else 'MISSED'}: under {TARGET:.0%} of the render time.")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
