"""From submit to a worker's start, and from a step to a socket and to Chromium, while 500 other sockets idle.

PostgreSQL, Redis, one web process, two workers whose renderer takes 50 ms a step. The sockets are real, in one
process beside; each idles on one of 50 campaigns. The browser has the studio page of the one who renders open.
"""

from __future__ import annotations

import asyncio
import json
import resource
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright
from websockets.asyncio.client import ClientConnection, connect

from benchmarks._browser import LISTEN, percentile
from benchmarks._own import servers
from studio.supervisor.child import Guard
from tests.chaos.house import House
from tests.chaos.servers import wait

IDLE, CAMPAIGNS = 500, 50
RENDERS, STEPS, STEP_MS = 30, 8, 50


def people() -> tuple[list[Any], list[str]]:
    """(signed-in people, the addresses of their campaigns' sockets); the first one is the one who renders."""
    from studio.models import Campaign
    from tests.chaos.people import sign_in_to

    found = [sign_in_to() for _ in range(CAMPAIGNS)]
    return found, [f"/ws/campaign/{Campaign.objects.get(slug=one.campaign).pk}/" for one in found]


async def open_socket(port: int, path: str, cookie: str) -> ClientConnection:
    """As a browser does it."""
    return await connect(
        f"ws://127.0.0.1:{port}{path}", additional_headers={"Cookie": cookie}, origin=f"http://127.0.0.1:{port}",  # type: ignore[arg-type]  # a NewType of str
        open_timeout=60, ping_interval=None, compression=None)


async def listen(socket: ClientConnection, delays: list[float]) -> None:
    """Milliseconds from a step's publishing to here."""
    async for text in socket:
        event = json.loads(text)
        if event["type"] == "job.step":
            delays.append((time.time() - event["sent"]) * 1000)


async def watch(browser: Browser, port: int, person: Any) -> Page:
    """The person's studio page, connected and listening for steps."""
    page = await browser.new_page(base_url=f"http://127.0.0.1:{port}")
    await page.context.add_cookies([
        {"name": name, "value": value, "url": f"http://127.0.0.1:{port}"}
        for name, value in (pair.split("=", 1) for pair in person.cookie.split("; "))])
    await page.goto(f"/c/{person.campaign}/")
    await page.wait_for_selector("html[data-live=on]")
    await page.evaluate(LISTEN)
    return page


async def measure(port: int, browser: Browser) -> tuple[list[float], list[float], list[float], list[float]]:
    """Milliseconds: submit to answer, submit to start, step to socket, step to browser."""
    from tests.chaos.people import Requests

    crowd, paths = await asyncio.to_thread(people)
    idle = []
    for number in range(IDLE):
        who = 1 + number % (CAMPAIGNS - 1)
        idle.append(await open_socket(port, paths[who], crowd[who].cookie))
    print(f"{len(idle)} sockets idle", file=sys.stderr)
    delays: list[float] = []
    listener = asyncio.create_task(listen(await open_socket(port, paths[0], crowd[0].cookie), delays))
    page = await watch(browser, port, crowd[0])
    await asyncio.sleep(1)
    answers, sent = [], []
    for number in range(RENDERS):
        sent.append(time.time())
        status = await asyncio.to_thread(Requests.post, port, crowd[0], Requests.body(seed=number, count=1))
        answers.append((time.time() - sent[-1]) * 1000)
        assert status == "202", status
        await asyncio.to_thread(wait, _all_closed, "the picture is stored")
        await asyncio.sleep(0.1)
    listener.cancel()
    starts = await asyncio.to_thread(_starts)
    shown: list[float] = await page.evaluate("() => window.stepDelays")
    return answers, [(start - asked) * 1000 for start, asked in zip(starts, sent, strict=True)], delays, shown


async def with_browser(port: int, chromium: str) -> tuple[list[float], list[float], list[float], list[float]]:
    """`measure`, with a Chromium for as long."""
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        found = await measure(port, browser)
        await browser.close()
    return found


def _all_closed() -> bool:
    from studio.models import RenderJob

    return not RenderJob.objects.open().exists()


def _starts() -> list[float]:
    from studio.models import RenderJob

    return [row.started_at.timestamp() for row in RenderJob.objects.order_by("batch_id") if row.started_at]


def run(folder: Path, guard: Guard, chromium: str) -> None:
    """Print the table."""
    from studio.models import Worker

    house = House(folder, guard, {"CHAOS_STEP_MS": str(STEP_MS)}, workers=2, webs=1)
    house.start()
    try:
        wait(lambda: Worker.objects.ready().count() == 2, "the workers are ready")
        answers, starts, delays, shown = asyncio.run(with_browser(house.ports[0], chromium))
    finally:
        house.close()
    print(f"{f'{IDLE} idle sockets':34}{'p50 ms':>9}{'p95 ms':>9}")
    for name, values in (("submit to answer", answers), ("submit to worker's start", starts),
                         ("step to socket", delays), ("step to browser", shown)):
        print(f"{name:34}{percentile(values, 0.5):>9.1f}{percentile(values, 0.95):>9.1f}")
    print(f"{len(starts)} renders; of {RENDERS * STEPS} steps the socket got {len(delays)}, the browser {len(shown)}.")


def main() -> int:
    """Run it; 1 without a browser."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        print("Chromium is not installed: the step-to-browser figure needs it.")
        return 1
    wanted = 4 * IDLE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    with servers(postgresql=True) as (folder, guard):
        run(folder, guard, chromium)
    return 0


if __name__ == "__main__":
    sys.exit(main())
