"""From submit to the worker's start, and from a step to the browser, on an idle system.

Runs a whole studio (embedded shape, demo model) and a headless Chromium on this machine. Printed
beside the broker's own round trip (one list push, one blocking pop, two connections) measured in
the same run, so that figures from machines of different speed can be compared as ratios.

Targets: submit to start under 50 ms at p50; a step in the browser within 25 ms at p95.
"""

from __future__ import annotations

import shutil
import sqlite3
import statistics
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import redis
from playwright.sync_api import Page, sync_playwright

from tests.stack import Stack, running

RENDERS = 30
PINGS = 300

SUBMIT = """async (seed) => {
  const form = document.querySelector('form[action$="/renders/"]');
  const data = new FormData(form);
  for (const name of ['formats', 'count', 'seed', 'prompt_zh', 'prompt_en', 'request_key']) data.delete(name);
  data.set('formats', 'taobao-main'); data.set('count', '1'); data.set('seed', String(seed));
  data.set('prompt_en', 'a rocket on a blue background'); data.set('request_key', crypto.randomUUID());
  const sent = Date.now() / 1000;
  const answer = await fetch(form.action, {method: 'POST', body: data, headers: {'HX-Request': 'true'}});
  return {sent, status: answer.status, answered: Date.now() / 1000};
}"""
LISTEN = """() => {
  window.stepDelays = [];
  document.addEventListener('live:job.step', ({detail}) =>
    window.stepDelays.push((performance.timeOrigin + performance.now()) - detail.sent * 1000));
}"""


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def broker_round_trips(socket_path: Path) -> list[float]:
    """Milliseconds of one push until the other connection has popped it and answered."""
    def client() -> redis.Redis:
        return redis.Redis(unix_socket_path=str(socket_path))

    def answer() -> None:
        with client() as other:
            for _ in range(PINGS):
                other.brpop(["bench:ping"])
                other.lpush("bench:pong", b"1")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    times = []
    with client() as mine:
        for _ in range(PINGS):
            started = time.perf_counter()
            mine.lpush("bench:ping", b"1")
            mine.brpop(["bench:pong"])
            times.append((time.perf_counter() - started) * 1000)
            time.sleep(0.005)
    thread.join(5)
    return times


def sign_in(page: Page, stack: Stack) -> None:
    """As the demo marketer, into a campaign's studio."""
    login = stack.logins["marketer"]
    page.goto(f"{stack.url}/login/?next=/create/")
    page.fill("input[name=login]", login["email"])
    page.fill("input[name=password]", login["password"])
    page.press("input[name=password]", "Enter")
    page.wait_for_url("**/c/**")
    page.wait_for_selector("html[data-live=on]")


def measure(page: Page, stack: Stack) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds: submit to start, submit to answer, step to browser."""
    page.evaluate(LISTEN)
    sent: list[dict[str, Any]] = []
    for number in range(RENDERS):
        sent.append(page.evaluate(SUBMIT, 1000 + number))
        assert sent[-1]["status"] == 202, sent[-1]
        wait_until_idle(stack)
        time.sleep(0.1)
    starts = started_at(stack)[-RENDERS:]
    to_start = [(start - s["sent"]) * 1000 for start, s in zip(starts, sent, strict=True)]
    to_answer = [(s["answered"] - s["sent"]) * 1000 for s in sent]
    return to_start, to_answer, page.evaluate("window.stepDelays")


def rows_of(stack: Stack, query: str) -> list[tuple[Any, ...]]:
    """What the studio's database says."""
    with sqlite3.connect(f"file:{stack.var}/studio.sqlite3?mode=ro", uri=True) as database:
        return database.execute(query).fetchall()


def wait_until_idle(stack: Stack) -> None:
    """Until nothing is queued or running."""
    while rows_of(stack, "SELECT 1 FROM studio_renderjob WHERE status IN ('queued', 'running') LIMIT 1"):
        time.sleep(0.02)


def started_at(stack: Stack) -> list[float]:
    """Epoch seconds of each job's start, in the order of asking."""
    rows = rows_of(stack, "SELECT started_at FROM studio_renderjob ORDER BY batch_id, position")
    return [datetime.fromisoformat(row[0]).replace(tzinfo=UTC).timestamp() for row in rows]


def main() -> int:
    """Print the table; exit code 1 when a target is missed."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("Chromium is not installed: the step-to-browser figure needs it.")
        return 1
    with running() as stack, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[
            "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        page = browser.new_page()
        wait_until_idle(stack)
        sign_in(page, stack)
        [socket_path] = (stack.var / "run").rglob("redis.sock")
        base = broker_round_trips(socket_path)
        to_start, to_answer, steps = measure(page, stack)
        browser.close()
    unit = statistics.median(base)
    print(f"{'':34}{'p50 ms':>9}{'p95 ms':>9}{'p50 / broker':>14}")
    for name, values in (("broker round trip", base), ("submit to answer", to_answer),
                         ("submit to worker's start", to_start), ("step to browser", steps)):
        print(f"{name:34}{percentile(values, 0.5):>9.1f}{percentile(values, 0.95):>9.1f}"
              f"{percentile(values, 0.5) / unit:>14.1f}")
    met = percentile(to_start, 0.5) < 50 and percentile(steps, 0.95) < 25
    print(f"{len(to_start)} renders, {len(steps)} steps. Targets {'met' if met else 'MISSED'}: "
          "start p50 < 50 ms, step p95 < 25 ms.")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
