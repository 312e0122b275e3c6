"""The workers page in two browsers: what one admin does, the other sees; and renders as they happen."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn, post, rows, wait_idle
from tests.browser.test_path import live
from tests.stack import Stack

PAGE = "/admin-panel/workers/"


@pytest.fixture(autouse=True)
def _as_it_was(stack: Stack, sign_in: SignIn) -> Iterator[None]:
    """Other tests need the worker, and no pool."""
    yield
    admin = sign_in("admin", PAGE)
    post(admin, f"{PAGE}worker-1/resume/")
    for (pool,) in rows(stack, "SELECT id FROM studio_pool"):
        post(admin, f"/admin-panel/pools/{pool}/remove/", confirm="on")
    wait_idle(stack)


def ask(page: Page, stack: Stack, count: int) -> None:
    """Queue pictures."""
    [(slug,)] = rows(stack, "SELECT slug FROM studio_campaign ORDER BY id LIMIT 1")
    page.goto(f"/c/{slug}/")
    assert post(
        page, f"/c/{slug}/renders/", prompt_en="a red rose", formats="custom", custom_width="384", custom_height="384",
        count=str(count), seed="7", request_key=str(uuid4())).ok



def test_a_drained_worker_is_seen_live_and_renders_wait_until_it_is_resumed(stack: Stack, sign_in: SignIn) -> None:
    wait_idle(stack)
    one, two = sign_in("admin", PAGE), sign_in("admin", PAGE)
    live(one)
    live(two)
    two.evaluate("window.same = true")  # lost by a reload
    row = two.locator("#worker-worker-1")
    expect(row.locator(".st").first).to_have_text("Ready")
    one.locator("#worker-worker-1").get_by_role("button", name="Drain").click()
    expect(one.get_by_text("gets no new renders")).to_be_visible()
    expect(row.locator(".st").first).to_have_text("Drained")
    expect(two.get_by_text("No shared worker takes renders")).to_be_visible()
    ask(sign_in("marketer"), stack, 4)
    expect(two.locator(".kpi dd").nth(2)).to_have_text("4")
    two.wait_for_timeout(1000)
    assert rows(stack, "SELECT count(*) FROM studio_renderjob WHERE status = 'queued'") == [(4,)]
    # Its own page reads on while somebody types into it.
    two.locator("#edit-new summary").click()
    two.fill("#name-new", "Launch")
    two.evaluate("""() => { window.steps = new Set(); document.addEventListener('live:worker.step', () => {
        const strip = document.querySelector('#worker-worker-1 .steps8[role]');
        if (strip) window.steps.add(strip.getAttribute('aria-valuenow')); }); }""")
    one.locator("#worker-worker-1").get_by_role("button", name="Resume").click()
    expect(row.locator(".st").first).to_have_text("Rendering")
    expect(row.get_by_role("link")).to_be_visible()
    expect(row.locator(".st").first).to_have_text("Ready", timeout=60_000)
    expect(two.locator(".kpi dd").nth(2)).to_have_text("0")
    assert two.evaluate("window.steps.size") > 0
    assert two.input_value("#name-new") == "Launch" and two.evaluate("window.same") is True
    # The age counts on, and starts anew with each heartbeat.
    age = row.locator("[data-age]")
    expect(age).to_have_text("3 s ago")
    expect(age).to_have_text("0 s ago")


def test_a_pool_is_set_up_and_its_worker_moved_by_hand(stack: Stack, sign_in: SignIn) -> None:
    wait_idle(stack)
    one, two = sign_in("admin", PAGE, viewport={"width": 390, "height": 844}), sign_in("admin", PAGE)
    live(two)
    one.locator("#edit-new summary").click()
    one.fill("#name-new", "Launch")
    one.locator("#edit-new input[name=team]").first.check()
    one.get_by_role("button", name="Set up").click()
    expect(one.get_by_text("is set up")).to_be_visible()
    expect(two.get_by_text("No worker of the pool “Launch” takes renders")).to_be_visible()
    one.locator("#pool-worker-1").select_option(label="Launch")
    one.locator("#worker-worker-1").get_by_role("button", name="Move").click()
    expect(one.get_by_text("for the pool “Launch” alone")).to_be_visible()
    expect(two.get_by_text("takes renders", exact=False)).to_have_count(0)
    expect(two.locator("#worker-worker-1 .st").nth(1)).to_have_text("Launch")
    ask(sign_in("marketer"), stack, 1)
    wait_idle(stack)  # the team's renders find their worker
    one.locator("#pools summary", has_text="Change").click()
    one.locator("#pools").get_by_role("button", name="Remove").click()
    expect(one.get_by_role("alert").get_by_text("is in use")).to_be_visible()
    one.get_by_role("button", name="Remove it anyway").click()
    expect(one.get_by_text("is removed")).to_be_visible()
    expect(two.locator("#worker-worker-1 .st")).to_have_count(1)


def test_without_a_socket_the_page_asks(sign_in: SignIn) -> None:
    one, two = sign_in("admin", PAGE), sign_in("admin", "/me/")
    two.add_init_script("WebSocket.prototype.addEventListener = () => {}; window.WebSocket = class {"
                        "constructor() { this.l = {}; setTimeout(() => this.l.close?.({code: 1006}), 50); }"
                        "addEventListener(n, f) { this.l[n] = f; } close() {} };")
    two.goto(PAGE)
    one.locator("#worker-worker-1").get_by_role("button", name="Drain").click()
    expect(two.locator("#worker-worker-1 .st").first).to_have_text("Drained")
    expect(two.get_by_text("Live updates are interrupted")).to_be_visible()
