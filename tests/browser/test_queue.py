"""Steering the queue in a real browser, seen live by a second person."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn, rows, wait_idle
from tests.browser.test_looks import NARROW, faults
from tests.browser.test_path import compose, live, open_studio, render
from tests.stack import Stack


@contextmanager
def no_renders(stack: Stack) -> Iterator[None]:
    """Let the render worker stand still: what is asked for meanwhile waits."""
    [worker] = [child for child in psutil.Process(stack.supervisor.pid).children(recursive=True)
                if "render" in child.cmdline() and "celery" in child.cmdline()]
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.pid, signal.SIGCONT)


@contextmanager
def no_storage(stack: Stack) -> Iterator[None]:
    """Let every attempt to store a picture fail: a file stands where the folder was."""
    folder, away = stack.var / "media" / "assets", stack.var / "assets-away"
    folder.rename(away)
    folder.touch()
    try:
        yield
    finally:
        folder.unlink()
        away.rename(folder)


def waiting(page: Page) -> list[str]:
    """Ids of the person's own jobs in the lane, first to last."""
    return [(entry.get_attribute("id") or "").removeprefix("wait-") for entry in page.locator("#lane li.me").all()]


def test_ones_own_order_a_pause_and_the_end_of_all_are_seen_live(stack: Stack, sign_in: SignIn) -> None:
    wait_idle(stack)
    marketer = sign_in("marketer")
    slug = open_studio(marketer)
    watcher = sign_in("reviewer", f"/c/{slug}/")
    live(watcher)
    with no_renders(stack):
        compose(marketer, en="a panda on a green background", formats=["taobao-main"], count=2, seed=1)
        first = render(marketer)
        expect(first.locator("header [name=to]")).to_have_count(0)  # beside nothing there is no order
        second = render(marketer)
        number = second.get_attribute("data-number")
        expect(marketer.locator("#lane li.me")).to_have_count(4)
        before = waiting(marketer)
        # The second batch goes first, by the button at its head; both people see it.
        second.get_by_role("button", name="Render first", exact=True).click()
        expect(marketer.get_by_text("First of your normal renders now.")).to_be_visible()
        moved = before[2:] + before[:2]
        for page in (marketer, watcher):
            expect(page.locator(f"#turn-{moved[0]} b")).to_have_text("1")
            expect(page.locator(f"#turn-{moved[2]} b")).to_have_text("3")
        assert waiting(marketer) == moved
        expect(watcher.locator("#sheets [name=to]")).to_have_count(0)  # somebody else's are not the watcher's
        # By keyboard, in the lane: the last goes first.
        button = marketer.locator(f"#wait-{moved[3]} [value=first]")
        button.focus()
        marketer.keyboard.press("Enter")
        expect(watcher.locator(f"#turn-{moved[3]} b")).to_have_text("1")

        # The reviewer pauses the campaign: tiles have no place any more, and say why.
        watcher.get_by_role("button", name="Pause renders").click()
        for page in (marketer, watcher):
            expect(page.locator("#campaign-paused")).to_contain_text("Elena Fischer paused them")
            expect(page.locator(f"#turn-{moved[0]}")).to_have_text("Paused")
            expect(page.get_by_role("button", name="Resume renders")).to_have_count(2)
        expect(watcher.locator("#campaign-pause button")).to_be_focused()
        expect(marketer.locator("[data-estimate]")).to_have_text("waits: renders are paused")
        assert faults(marketer, "a paused studio") == []
    # Nothing is rendered now, though the worker is back.
    marketer.wait_for_timeout(1500)
    expect(marketer.locator("#sheets figure[data-status=queued]")).to_have_count(4)
    marketer.locator("#campaign-paused").get_by_role("button", name="Resume renders").click()
    expect(watcher.locator("#campaign-paused")).to_be_empty()
    expect(watcher.locator(f"#sheets .sheet[data-number='{number}'] figure[data-status=done]")).to_have_count(2)
    wait_idle(stack)

    # All of one's own end with one press and one question.
    with no_renders(stack):
        newest = render(marketer)
        expect(newest.locator("figure[data-status=queued]")).to_have_count(2)
        marketer.get_by_role("button", name=re.compile("Cancel all mine 2")).click()
        question = marketer.locator("#cancel-mine")
        expect(question).to_contain_text("Cancel your 2 renders?")
        question.get_by_role("button", name="Keep them").click()
        expect(question).to_be_hidden()
        marketer.get_by_role("button", name=re.compile("Cancel all mine 2")).click()
        question.get_by_role("button", name="Cancel all mine").click()
        expect(marketer.get_by_text("2 renders cancelled. They cost nothing.")).to_be_visible()
        ended = watcher.locator(f"#sheets .sheet[data-number='{newest.get_attribute('data-number')}']")
        expect(ended.locator("figure[data-status=cancelled]")).to_have_count(2)
        expect(question).to_have_count(0)
    # And once more: the retry is a batch that both see.
    newest.get_by_role("button", name="Retry").first.click()
    expect(marketer.get_by_text("Asked for again, as batch")).to_be_visible()
    last = rows(stack, "SELECT max(number) FROM studio_renderbatch b JOIN studio_campaign c ON c.id = b.campaign_id "
                       "WHERE c.slug = ?", slug)[0][0]
    expect(watcher.locator(f"#sheets .sheet[data-number='{last}'] figure[data-status=done]")).to_have_count(1)


def test_a_failed_picture_says_what_to_do_and_is_rendered_with_another_seed(stack: Stack, sign_in: SignIn) -> None:
    wait_idle(stack)
    marketer = sign_in("marketer")
    open_studio(marketer)
    compose(marketer, en="a panda on a green background", formats=["taobao-main"], count=1, seed=4)
    with no_storage(stack):
        tile = render(marketer).locator("figure")
        expect(tile).to_have_attribute("data-status", "failed")
    expect(tile).to_contain_text("The file storage can't be reached.")
    expect(tile).to_contain_text("Try again in a minute")
    assert faults(marketer, "a failed picture") == []
    tile.get_by_role("button", name="with another seed").click()
    expect(marketer.get_by_text("Asked for again, as batch")).to_be_visible()
    expect(marketer.locator("#sheets .sheet").first.locator("figure")).to_have_attribute("data-status", "done")
    seeds = rows(stack, "SELECT seed, status FROM studio_renderjob ORDER BY created_at DESC LIMIT 2")
    assert seeds[1] == (4, "failed") and seeds[0][0] != 4 and seeds[0][1] == "done"


def test_on_a_phone_the_class_is_chosen_and_own_renders_are_moved(stack: Stack, sign_in: SignIn) -> None:
    wait_idle(stack)
    page = sign_in("reviewer", language="zh-hans", viewport=NARROW, has_touch=True)
    open_studio(page)
    with no_renders(stack):
        for wish in ("batch", "urgent"):
            page.locator("[data-open-composer]").first.tap()
            compose(page, zh="绿色背景上的熊猫", formats=["taobao-main"], count=1, seed=1)
            page.locator("fieldset.when label", has=page.locator(f"[value={wish}]")).tap()
            page.locator("#composer .btn.go").tap()
            expect(page.locator(f"#sheets .sheet:first-child .class.{'warn' if wish == 'urgent' else 'later'}"
                                )).to_be_visible()
        assert faults(page, "the queue on a phone") == []
        page.locator("#sheets .sheet:first-child figure [value=last]").tap()
        expect(page.get_by_text("已排到你的加急任务最后。")).to_be_visible()
        page.locator("[popovertarget=cancel-mine]").first.tap()
        page.locator("#cancel-mine .danger").tap()
        expect(page.locator("#sheets figure[data-status=cancelled]")).to_have_count(2)
