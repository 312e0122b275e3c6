"""A template is built, published and changed in a real browser; two people at it; and without scripts."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn, post, rows
from tests.browser.test_looks import NARROW, faults
from tests.stack import Stack


def _new(page: Page) -> str:
    """A fresh template; its address."""
    page.goto("/templates/")
    page.get_by_role("button", name="New template").click()
    page.wait_for_url(re.compile(r"/templates/.+-[0-9a-f]{6}/"))
    return page.url


def _variable(page: Page, at: int, name: str, kind: str, **typed: str) -> None:
    page.get_by_role("button", name="Add a variable").click()
    field = page.locator(f"#name-{at}")
    expect(field).to_be_focused()
    page.keyboard.type(name)
    page.select_option(f"#kind-{at}", kind)
    for column, text in typed.items():
        page.fill(f"#{column}-{at}", text)


def test_a_template_is_built_published_and_changed(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in("reviewer")
    address = _new(page)
    page.fill("#name_zh", "礼盒")
    page.fill("#name_en", "Gift box")
    _variable(page, 0, "product", "text", default_zh="礼物", default_en="gift box", max_length="12")
    _variable(page, 1, "tone", "choice", options="红色 | red\n金色 | gold")
    _variable(page, 2, "ground", "colour", options="粉色 | pink", default_zh="粉色")
    _variable(page, 3, "pieces", "number", low="1", high="9", default_zh="3", default_en="3")
    page.fill("#text_zh", "{ground}背景上的{pieces}个{tone}")
    page.locator("#text_zh").press("End")
    page.get_by_role("group", name="Put a variable where the cursor is").get_by_role("button", name="product").click()
    expect(page.locator("#text_zh")).to_have_value("{ground}背景上的{pieces}个{tone}{product}")
    page.fill("#text_en", "{pieces} {tone} {product} on a {ground} background")
    # Kept without a press, and what is typed meanwhile stays.
    expect(page.locator("#editor-live").get_by_role("status")).to_contain_text("Draft saved at")
    expect(page.locator(".filled").nth(0)).to_have_text("粉色背景上的3个红色礼物")
    expect(page.locator(".filled").nth(1)).to_have_text("3 red gift box on a 粉色 background")
    expect(page.locator("#editor-live .slug")).to_have_text(re.compile(r"^\d+ / 512 tokens$"))
    page.evaluate("window.same = document.getElementById('text_en')")
    page.fill("#default_en-2", "pink")
    expect(page.locator(".filled").nth(1)).to_have_text("3 red gift box on a pink background")
    assert page.evaluate("window.same === document.getElementById('text_en')")
    assert faults(page, "the editor") == []
    page.get_by_role("button", name="Publish version 1").click()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_text("Version 1 is offered now.")).to_be_visible()
    assert rows(stack, "SELECT count(*) FROM studio_templateversion v JOIN studio_prompttemplate t ON t.id = "
                       "v.template_id WHERE t.name_en = 'Gift box' AND v.status = 'published'") == [(1,)]
    page.fill("#text_en", "{pieces} {tone} {product} on a bright {ground} background")
    page.fill("#max_length-0", "20")
    expect(page.locator("#editor-live").get_by_role("status")).to_contain_text("Draft saved at")
    page.get_by_role("link", name="Versions").click()
    draft = page.locator(".panel").first
    expect(draft.locator("ins").nth(0)).to_have_text("bright ")
    expect(draft.get_by_text("{product} · At most (characters)")).to_be_visible()
    expect(draft.locator("del")).to_have_text("12")
    assert faults(page, "versions") == []
    page.goto(address)
    expect(page.locator("#text_en")).to_have_value("{pieces} {tone} {product} on a bright {ground} background")


def test_the_second_editor_is_told_and_keeps_the_text(sign_in: SignIn) -> None:
    one, two = sign_in("marketer"), sign_in("reviewer")
    address = _new(one)
    two.goto(address)
    one.fill("#text_en", "a red rose")
    expect(one.locator("#editor-live").get_by_role("status")).to_contain_text("Draft saved at")
    two.fill("#text_en", "a blue rose")
    expect(two.locator("#editor-errors")).to_contain_text("Somebody else has saved this template")
    expect(two.locator("#text_en")).to_have_value("a blue rose")
    two.reload()
    expect(two.locator("#text_en")).to_have_value("a red rose")
    # A marketer reads why somebody else publishes.
    button = one.get_by_role("button", name="Publish")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(one.get_by_text("Only reviewers and admins of the team can do this.")).to_be_visible()


def test_an_input_method_is_not_disturbed(sign_in: SignIn) -> None:
    page = sign_in("marketer")
    _new(page)
    page.focus("#text_zh")
    composer = page.context.new_cdp_session(page)
    composer.send("Input.imeSetComposition", {"text": "hong", "selectionStart": 4, "selectionEnd": 4})
    page.wait_for_timeout(2200)
    assert page.input_value("#text_zh") == "hong"
    expect(page.locator(".filled")).to_have_count(0)  # half a word is not saved
    composer.send("Input.insertText", {"text": "红"})
    expect(page.locator(".filled")).to_have_text("红")
    expect(page.locator("#text_zh")).to_have_value("红")


def test_on_a_phone_without_scripts(sign_in: SignIn) -> None:
    page = sign_in("reviewer", java_script_enabled=False, viewport=NARROW)
    _new(page)
    page.get_by_role("button", name="Add a variable").click()
    page.fill("#name-0", "product")
    page.fill("#default_en-0", "gift box")
    page.fill("#text_en", "a {product}")
    page.locator(".foot").get_by_role("button", name="Save").click()
    expect(page.locator(".filled")).to_have_text("a gift box")
    page.goto("/templates/products/")
    page.get_by_label("SKU of a new product").fill("CAKE-1")
    page.get_by_label("English name of a new product").fill("birthday cake")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_label("English name of CAKE-1")).to_have_value("birthday cake")
    page.get_by_role("button", name="Remove CAKE-1").click()
    expect(page.get_by_label("English name of CAKE-1")).to_have_count(0)
    assert post(page, "/templates/products/add/", sku="").status == 422
