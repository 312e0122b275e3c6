"""What a newcomer waits for: a studio of their own starts, they sign in, open the first campaign and press Render.

A headless browser on the same machine does what they would. The baseline of the four pictures is the worker's own time
for them, from its pictures' recipes: the ratio is what queue, storing and the page add.

    python benchmarks/newcomer.py

Prints seconds, the ratio, and the most memory the worker process had; targets: 15 s from the press to four pictures
on the page, 1.5 GB.
"""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from time import perf_counter

import psutil
from playwright.sync_api import Page, sync_playwright

from tests.stack import Stack, running

TARGET_S, TARGET_GB = 15, 1.5
_ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run"]
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def main() -> None:
    """Be the newcomer, and print what it took."""
    chromium = next((found for name in _NAMES if (found := shutil.which(name))), None)
    if chromium is None:
        raise SystemExit("Chromium is not installed.")
    began = perf_counter()
    with running() as stack, sync_playwright() as driver:
        ready = perf_counter() - began
        page = driver.chromium.launch(executable_path=chromium, args=_ARGS).new_page(
            base_url=stack.url, viewport={"width": 1440, "height": 900})
        _sign_in(page, stack)
        shown = page.locator("img[src*='/thumb']").count()
        page.locator(".camp a[href^='/c/'][lang]").first.click()
        page.wait_for_selector("html[data-live=on]")
        earlier = page.locator("#sheets .sheet").count()
        pressed = perf_counter()
        page.click("#composer button.go")
        page.wait_for_function(
            """earlier => document.querySelectorAll("#sheets .sheet").length > earlier
               && !document.querySelector("#sheets .sheet .im:not(.ok)")
               && [...document.querySelectorAll("#sheets .sheet:first-child img")].every(img => img.complete)""",
            arg=earlier, timeout=60_000)
        waited = perf_counter() - pressed
        pictures = page.locator("#sheets .sheet").first.locator(".im.ok").count()
        alone = _rendered_in(stack, pictures)
        print("| | |\n|---|---|")
        print(f"| start of an empty studio until it says ready, with its first pictures | {ready:.0f} s |")
        print(f"| pictures on the first page after signing in | {shown} |")
        print(f"| Render pressed until {pictures} pictures are on the page (target {TARGET_S} s) | {waited:.1f} s |")
        print(f"| that, against the worker's own {alone:.1f} s for them | {waited / alone:.2f} |")
        print(f"| most memory of the worker process (target {TARGET_GB} GB) | {_memory(stack):.2f} GB |")


def _sign_in(page: Page, stack: Stack) -> None:
    page.goto("/login/")
    page.fill("input[name=login]", stack.logins["marketer"]["email"])
    page.fill("input[name=password]", stack.logins["marketer"]["password"])
    page.press("input[name=password]", "Enter")
    page.wait_for_selector(".camp a[href^='/c/']")
    page.wait_for_load_state("networkidle")


def _rendered_in(stack: Stack, pictures: int) -> float:
    """Seconds the worker rendered for the newest `pictures`."""
    with sqlite3.connect(f"file:{stack.var / 'studio.sqlite3'}?mode=ro", uri=True) as database:
        total: float = database.execute(
            "SELECT SUM(julianday(finished_at) - julianday(started_at)) * 86400 FROM (SELECT * FROM studio_renderjob"
            " WHERE status = 'done' ORDER BY finished_at DESC LIMIT ?)", (pictures,)).fetchone()[0]
    return total


def _memory(stack: Stack) -> float:
    """The peak of the render worker's memory, in GB."""
    worker = next(child for child in psutil.Process(stack.supervisor.pid).children(recursive=True)
                  if "render@%h" in child.cmdline())
    lines = Path(f"/proc/{worker.pid}/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 2**20


if __name__ == "__main__":
    main()
