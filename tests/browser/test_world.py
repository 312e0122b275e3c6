"""The panel of the demo model's words, in a real browser: by keyboard, on a phone, and without scripts."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SignIn
from tests.browser.test_looks import NARROW, faults
from tests.browser.test_path import open_studio
from tests.stack import Stack


def panel(page: Page) -> Locator:
    """Open it from the composer by keyboard."""
    page.locator("#composer [data-open-world]").focus()
    page.keyboard.press("Enter")
    found = page.locator("#world")
    expect(found).to_be_visible()
    return found


def test_an_example_fills_the_prompt_by_keyboard_and_can_be_undone(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in("marketer")
    open_studio(page)
    page.fill("#prompt-zh", "熊猫")
    page.fill("#prompt-en", "a panda")
    found = panel(page)
    assert faults(page, "the panel") == []
    found.get_by_role("button", name="a lipstick on a round gold podium").focus()
    page.keyboard.press("Enter")
    expect(found).to_be_hidden()
    expect(page.locator("#composer [data-open-world]")).to_be_focused()
    expect(page.locator("#prompt-zh")).to_have_value("金色圆台上的口红")
    expect(page.locator("#prompt-en")).to_have_value("a lipstick on a round gold podium")
    expect(page.locator("#count-en")).to_have_text("33")  # the composer has counted
    page.keyboard.press("z")
    expect(page.locator("#prompt-zh")).to_have_value("熊猫")
    expect(page.locator("#prompt-en")).to_have_value("a panda")
    panel(page)
    page.keyboard.press("Escape")
    expect(found).to_be_hidden()


def test_words_go_where_the_cursor_was_and_replace_nothing(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in("marketer")
    open_studio(page)
    page.fill("#prompt-zh", "")
    page.fill("#prompt-en", "a on a podium")
    page.evaluate("document.getElementById('prompt-en').setSelectionRange(1, 1)")
    found = panel(page)
    for word in ("gift box", "red rose"):
        found.get_by_role("button", name=re.compile(f"^{word}")).click()
    expect(found.get_by_role("status")).to_contain_text("a gift box red rose on a podium")
    expect(page.locator("#prompt-zh")).to_have_value("")  # nothing was said there
    found.get_by_role("button", name="Undo").click()
    found.get_by_role("button", name="Back to the prompt").click()
    expect(page.locator("#prompt-en")).to_have_value("a gift box on a podium")


def test_on_a_phone_a_word_goes_into_both_prompts(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in("marketer", language="zh-hans", viewport=NARROW, has_touch=True)
    open_studio(page)
    page.locator("[data-open-composer]").first.tap()
    page.fill("#prompt-en", "a panda")
    page.fill("#prompt-zh", "熊猫")
    page.locator("#composer [data-open-world]").tap()
    found = page.locator("#world")
    assert faults(page, "the panel on a phone") == []
    found.get_by_role("button", name="礼物 gift box").tap()
    found.get_by_role("button", name="回到提示词").tap()
    expect(page.locator("#prompt-zh")).to_have_value("熊猫礼物")
    expect(page.locator("#prompt-en")).to_have_value("a panda gift box")


def test_without_scripts_the_list_stands_in_the_page(stack: Stack, sign_in: SignIn) -> None:
    slug = open_studio(sign_in("marketer"))
    page = sign_in("marketer", f"/c/{slug}/", java_script_enabled=False)
    page.locator("#composer [data-open-world]").click()
    expect(page.locator("#world")).to_be_visible()
    assert page.url.endswith("#world")
    expect(page.locator("#world")).to_contain_text("gift box")
