"""One whole studio and one Chromium for all browser tests; a context (a person's browser) per call."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import APIResponse, Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests.stack import Stack, running

# Renders share two cores with everything else here.
expect.set_options(timeout=20_000)
ARGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"]
SignIn = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All browser tests share one studio: one process runs them."""
    for item in items:
        if "tests/browser/" in item.nodeid:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="package")
def stack() -> Iterator[Stack]:
    """The studio, with its first pictures rendered."""
    with running(TEAM_MONTHLY_PICTURES="500") as found:
        wait_idle(found)
        yield found


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """The driver. Its event loop ends with these tests: Django refuses database calls beside a running one."""
    with sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The system's Chromium."""
    path = next(found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name)))
    chromium = playwright.chromium.launch(executable_path=path, args=ARGS)
    yield chromium
    chromium.close()


@pytest.fixture
def sign_in(stack: Stack, browser: Browser) -> Iterator[SignIn]:
    """`sign_in(role, path="/", language="en", **context options)`: a page of that person's own browser.

    Fails the test when a page logs an error to the console or throws.
    """
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def enter(role: str, path: str = "/", *, language: str = "en", **options: Any) -> Page:
        context = browser.new_context(
            base_url=stack.url, viewport=options.pop("viewport", {"width": 1440, "height": 900}),
            locale=options.pop("locale", "en-GB"), **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"/login/?next={path}")
        page.fill("input[name=login]", stack.logins[role]["email"])
        page.fill("input[name=password]", stack.logins[role]["password"])
        page.press("input[name=password]", "Enter")
        page.wait_for_url(lambda url: "/login/" not in url)
        settle(page, "language", language)
        page.goto(path)
        return page

    yield enter
    for context in contexts:
        context.close()
    # A refusal or a lost network that a test provokes is logged by Chromium; that is not a fault of the page.
    provoked = ("Failed to load resource", "WebSocket connection to", "net::ERR_INTERNET_DISCONNECTED",
                "htmx:afterRequest", "htmx:sendError")
    assert [fault for fault in faults if not any(text in fault for text in provoked)] == []


def post(page: Page, path: str, **fields: str) -> APIResponse:
    """Send a form as the page's person."""
    token = next(cookie["value"] for cookie in page.context.cookies() if cookie["name"] == "csrftoken")
    return page.request.post(path, form={**fields, "csrfmiddlewaretoken": token})


def settle(page: Page, name: str, value: str) -> None:
    """Set the person's own `language` or `theme`."""
    assert post(page, f"/me/{name}/", **{name: value}).ok


def rows(stack: Stack, query: str, *values: object) -> list[tuple[Any, ...]]:
    """Look into the studio's database, read-only."""
    with sqlite3.connect(f"file:{stack.var}/studio.sqlite3?mode=ro", uri=True, timeout=10) as database:
        return database.execute(query, values).fetchall()


def wait_idle(stack: Stack) -> None:
    """Until nothing is queued or running. Raises TimeoutError after 60 s."""
    end = time.monotonic() + 60
    while rows(stack, "SELECT 1 FROM studio_renderjob WHERE status IN ('queued', 'running') LIMIT 1"):
        if time.monotonic() > end:
            raise TimeoutError("renders are still open")
        time.sleep(0.05)
