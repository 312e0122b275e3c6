"""How the pages behave under the hands of people: keys, double presses, in-page addresses, live numbers."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn, rows
from tests.browser.test_path import live
from tests.stack import Stack


def drafts(stack: Stack, count: int) -> tuple[str, list[int]]:
    """A campaign's slug and the ids of some of its pictures that are not in review."""
    found = rows(stack, """SELECT c.slug, a.id FROM studio_asset a JOIN studio_campaign c ON c.id = a.campaign_id
        WHERE a.status = 'draft' AND c.id = (SELECT campaign_id FROM studio_asset WHERE status = 'draft'
        GROUP BY campaign_id ORDER BY count(*) DESC LIMIT 1) ORDER BY a.id""")
    return found[0][0], [pk for _slug, pk in found[:count]]


def focused(page: Page) -> str:
    """The id of the frame or the value of the input that has the focus."""
    found: str = page.evaluate(
        "document.activeElement.closest('figure')?.id ?? document.activeElement.value ?? document.activeElement.id")
    return found


def test_a_double_press_on_withdraw_is_one_press(stack: Stack, sign_in: SignIn) -> None:
    slug, [asset] = drafts(stack, 1)
    marketer = sign_in("marketer", f"/c/{slug}/gallery/?frame={asset}")
    live(marketer)
    marketer.locator("#panel button", has_text="Submit").click()
    expect(marketer.get_by_text("in review now")).to_be_visible()
    # The panel may have been drawn anew since the page came: its forms count as well.
    marketer.locator("#panel button", has_text="Withdraw").dblclick()
    expect(marketer.get_by_text("is out of review")).to_be_visible()
    assert rows(stack, "SELECT status FROM studio_asset WHERE id = ?", asset) == [("draft",)]


def test_copy_and_download_give_the_prompt_and_every_chosen_picture(stack: Stack, sign_in: SignIn) -> None:
    slug, [first, second] = drafts(stack, 2)
    marketer = sign_in("marketer", f"/c/{slug}/gallery/?frame={first}")
    marketer.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copy = marketer.locator("#panel [data-copy]")
    copy.click()
    copy.click()
    expect(copy).to_have_text("Copied")
    expect(copy).to_have_text("Copy")  # also after two presses
    lines = marketer.locator("#panel-prompt p").all_inner_texts()
    assert lines and marketer.evaluate("navigator.clipboard.readText()").split("\n") == lines
    names: list[str] = []
    marketer.on("download", lambda download: names.append(download.suggested_filename))
    for asset in (first, second):
        marketer.locator(f"#asset-{asset} input[type=checkbox]").check(force=True)
    marketer.locator("#selection [data-download]").click()
    marketer.wait_for_timeout(1500)
    assert len(set(names)) == 2 and all(name.startswith(slug) and name.endswith(".png") for name in names)


def test_arrows_belong_to_what_has_the_focus(stack: Stack, sign_in: SignIn) -> None:
    slug, _assets = drafts(stack, 2)
    page = sign_in("marketer", f"/c/{slug}/gallery/")
    page.locator("[data-size] input").focus()
    before = page.locator("[data-size] input").input_value()
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-size] input").input_value() != before
    page.locator("#sheet figure .pic").first.focus()
    first = focused(page)
    for _again in range(2):  # the second is the key held down
        page.keyboard.down("ArrowRight")
    page.keyboard.up("ArrowRight")
    assert focused(page) == page.locator("#sheet figure").nth(2).get_attribute("id") != first
    page.keyboard.press("?")
    expect(page.locator("#keys dd", has_text="←→↑↓")).to_be_visible()
    # The theme's radio buttons post by themselves and keep their place.
    page.goto("/me/")
    page.locator("input[name=theme][value=auto]").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("html[data-theme=light]")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(page.locator("html[data-theme=dark]")).to_have_count(1)
    assert focused(page) == "dark"
    page.wait_for_load_state("networkidle")
    page.reload()
    expect(page.locator("html[data-theme=dark]")).to_have_count(1)


def test_switching_the_language_comes_back_to_what_is_shown(stack: Stack, sign_in: SignIn) -> None:
    slug, [asset] = drafts(stack, 1)
    page = sign_in("marketer", f"/c/{slug}/gallery/")
    page.locator(f"#asset-{asset} .pic").click()
    expect(page.locator(f"#panel[data-frame='{asset}']")).to_be_visible()
    page.locator(".rail button[name=language]").click()
    expect(page.locator("html[lang=zh-CN]")).to_have_count(1)
    expect(page.locator(f"#panel[data-frame='{asset}']")).to_be_visible()
    # A page that answers a refused form has no address to come back to.
    admin = sign_in("admin", "/admin-panel/usage/")
    admin.fill("#limit", "many")
    admin.press("#limit", "Enter")
    expect(admin.locator("#limit-error")).to_be_visible()
    admin.locator(".rail button[name=language]").click()
    expect(admin.locator("html[lang=zh-CN]")).to_have_count(1)
    expect(admin.locator("h1")).to_be_visible()


def test_the_badge_of_waiting_pictures_is_live(stack: Stack, sign_in: SignIn) -> None:
    slug, [asset] = drafts(stack, 1)
    reviewer = sign_in("reviewer", f"/c/{slug}/gallery/")
    live(reviewer)
    [(waiting,)] = rows(stack, "SELECT count(*) FROM studio_review WHERE status = 'open'")
    marketer = sign_in("marketer", f"/c/{slug}/gallery/?frame={asset}")
    marketer.locator("#panel button", has_text="Submit").click()
    badge = reviewer.locator("#rail-waiting")
    expect(badge).to_have_text(str(waiting + 1))
    expect(badge).to_be_visible()
    marketer.locator("#panel button", has_text="Withdraw").click()
    expect(badge).to_have_text(str(waiting))


def test_the_arrow_of_a_small_screen_leads_back(stack: Stack, sign_in: SignIn) -> None:
    slug, _assets = drafts(stack, 1)
    page = sign_in("marketer", f"/c/{slug}/", viewport={"width": 390, "height": 844})
    arrow = page.locator(".crumbs svg").bounding_box()
    assert arrow
    page.mouse.click(arrow["x"] + 8, arrow["y"] + 8)
    page.wait_for_url(lambda url: f"/c/{slug}" not in url)
    # A look that nobody asked for fails without a word; something a person pressed does not.
    page.evaluate("htmx.trigger('#home-live', 'htmx:sendError')")
    expect(page.locator("#toasts [data-toast]")).to_have_count(0)
    page.evaluate("htmx.trigger('#main', 'htmx:sendError')")
    expect(page.locator("#toasts [data-toast]")).to_have_count(1)
