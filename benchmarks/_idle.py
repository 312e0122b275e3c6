"""How long the engine waits between two queued pictures: embedded shape, demo model on the CPU.

By the worker's own count (`/metrics` shows it): the time between the end of a render and the begin of the next one that
was queued by then. Encoding, labelling and storing happen beside the next render. Target: under 2 % of the render time.

From the rows, for comparison: all of the time that is not text, steps or decoding, so also what each step is
interrupted for (preview, lease, event).
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
METRIC = "SELECT busy_ms, gap_ms FROM studio_worker"


def shares(rows: list[tuple[str, str, str]]) -> tuple[float, float, int]:
    """(seconds of the engine's stages, seconds between them, gaps); only gaps in which the next one was waiting."""
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


def counted(var: Path) -> tuple[float, float]:
    """Seconds (busy, idle) that the worker has counted so far."""
    with sqlite3.connect(f"file:{var}/studio.sqlite3?mode=ro", uri=True) as database:
        busy, idle = database.execute(METRIC).fetchone()
    return busy / 1000, idle / 1000


def measured(var: Path, after: int) -> tuple[float, float, int]:
    """The same from the rows of the batches after `after`."""
    with sqlite3.connect(f"file:{var}/studio.sqlite3?mode=ro", uri=True) as database:
        return shares(database.execute(ROWS, [after]).fetchall())


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
            before = counted(stack.var)
            [(after,)] = rows_of(stack, "SELECT MAX(id) FROM studio_renderbatch")
            for number in range(REQUESTS):
                assert page.evaluate(SUBMIT, 5000 + number)["status"] == 202
            browser.close()  # it would take the engine's cores
        wait_until_idle(stack)
        busy, idle = (now - then for now, then in zip(counted(stack.var), before, strict=True))
        stages, between, gaps = measured(stack.var, after)
    print(f"render time {busy:.2f} s, idle between queued pictures {idle * 1000:.0f} ms in {gaps} gaps: "
          f"{idle / busy:.2%}")
    print(f"from the rows: {stages:.2f} s of text, steps and decoding, {between * 1000:.0f} ms of all else: "
          f"{between / stages:.2%}")
    met = idle / busy < TARGET
    print(f"Target {'met' if met else 'MISSED'}: under {TARGET:.0%} of the render time.")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
