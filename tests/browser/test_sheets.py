"""From an empty template to a zip of pictures: written, published, filled by 500 rows, watched, downloaded."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn, rows, wait_idle
from tests.browser.test_path import live, open_studio
from tests.stack import Stack

VARIABLES = (
    ("product", "text", "产品", "Product", ""),
    ("tone", "choice", "色调", "Tone", "粉色 | pink\n蓝色 | blue\n绿色 | green"),
    ("ground", "choice", "背景", "Background", "圆台 | round podium\n放射背景 | sunburst background"),
    ("pieces", "number", "数量", "Pieces", ""))
#: row -> (its cells, what is said of it)
FAULTS = {
    10: (",粉色,圆台,", "“product” is missing"), 60: ("口红,黑色,圆台,", "not among the options of “tone”"),
    120: ("口红,粉色,桌子,", "not among the options of “ground”"), 200: ("口红,粉色,圆台,many", "is a number"),
    300: ("=cmd,粉色,圆台,", "is a formula"), 400: ("这个产品名字实在太长了放不下呀,粉色,圆台,", "at most 12"),
    500: ("口红,粉色,圆台,3,extra", "more cells than the table has columns"),
}


def build(page: Page) -> None:
    """A template with four variables in both languages."""
    page.get_by_role("button", name="New template").click()
    for number, (name, kind, zh, en, options) in enumerate(VARIABLES):
        page.get_by_role("button", name="Add a variable").click()
        page.fill(f"#name-{number}", name)
        page.select_option(f"#kind-{number}", kind)
        page.fill(f"#label_zh-{number}", zh)
        page.fill(f"#label_en-{number}", en)
        if options:
            page.fill(f"#options-{number}", options)
    page.fill("#max_length-0", "12")
    page.uncheck("input[name=required-3]")
    page.fill("#name_zh", "纯色产品")
    page.fill("#name_en", "Product on a colour")
    page.fill("#text_zh", "{tone}{ground}上的{product}")
    page.fill("#text_en", "a {product} on a {tone} {ground}")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator(".side")).to_contain_text("a {product} on a pink round podium")
    expect(page.locator(".side [role=status]")).to_contain_text("Draft saved at")


def sheet(folder: Path) -> Path:
    """500 rows, seven of them with one fault each."""
    lines = ["产品,色调,背景,数量"]
    for number in range(1, 501):
        lines.append(FAULTS[number][0] if number in FAULTS else f"{'红玫瑰' if number % 2 else '熊猫'},粉色,圆台,")
    path = folder / "spring.csv"
    path.write_bytes("\n".join(lines).encode("gbk"))
    return path


def test_a_template_and_a_sheet_of_500_rows(stack: Stack, sign_in: SignIn, tmp_path: Path) -> None:
    reviewer = sign_in("reviewer", "/templates/")
    build(reviewer)
    reviewer.get_by_role("button", name="Publish version 1").click()
    reviewer.get_by_role("button", name="Publish", exact=True).click()
    expect(reviewer.get_by_text("Version 1 is offered").first).to_be_visible()
    # A change is a new draft, and its difference is shown.
    reviewer.fill("#text_en", "one {product} on a {tone} {ground}")
    expect(reviewer.locator(".side [role=status]")).to_contain_text("Draft saved at")
    reviewer.get_by_role("link", name="Versions").click()
    expect(reviewer.locator(".diff del")).to_have_text("a")
    expect(reviewer.locator(".diff ins")).to_have_text("one")

    page = sign_in("marketer")
    slug = open_studio(page)
    page.goto(f"/c/{slug}/bulk/")
    page.select_option("#version", label="Product on a colour")
    page.set_input_files("#file", sheet(tmp_path))
    page.get_by_role("button", name="Upload and check").click()
    expect(page.get_by_text("493 rows can be rendered")).to_be_visible()
    expect(page.get_by_text("7 faulty rows")).to_be_visible()
    page.get_by_role("link", name="Faulty 7").click()
    for number, (_cells, said) in FAULTS.items():
        row = page.locator("table.rows tbody tr").filter(has=page.locator(f"td.num:text-is('{number}')"))
        expect(row.locator(".err").first).to_contain_text(said)
    # One is put right on the page.
    page.locator("tr", has=page.locator("td.num:text-is('10')")).locator("[name=cell-0]").fill("口红")
    page.locator("#fix-10 button").click()
    expect(page.get_by_text("494 rows can be rendered")).to_be_visible()

    # The first four rows in three formats, watched until they are done.
    ticked = page.locator("#bulk-live input[name=formats]:checked")
    while ticked.count():
        ticked.first.uncheck()
    for key in ("taobao-main", "xiaohongshu-3x4", "wechat-second"):
        page.locator(f"#bulk-live input[name=formats][value={key}]").check()
    page.get_by_role("button", name="Try the first 4 rows").click()
    expect(page.locator("#bulk-live")).to_contain_text("12 pictures done", timeout=60_000)
    expect(page.locator("#bulk-live .st").first).to_have_text("Done")
    with page.expect_download() as waited:
        page.goto(page.url.split("?")[0])
        page.get_by_role("link", name="Pictures as ZIP").click()
    archive = zipfile.ZipFile(waited.value.path())
    manifest = list(csv.DictReader(io.StringIO(archive.read("manifest.csv").decode("utf-8-sig"))))
    assert len(manifest) == 12 and {row["format"] for row in manifest} == {
        "taobao-main", "xiaohongshu-3x4", "wechat-second"}
    assert {row["产品"] for row in manifest} == {"红玫瑰", "熊猫"} and {row["row"] for row in manifest} == set("1234")
    assert set(archive.namelist()) == {row["file"] for row in manifest} | {"manifest.csv"}

    # The rest goes on by itself, also while nobody looks; then it is paused and cancelled, and costs nothing.
    page.get_by_role("button", name="Render all rows").click()
    expect(page.locator("#bulk-live .st").first).to_have_text("Running")
    page.goto("/")
    page.wait_for_timeout(1500)
    page.go_back()
    page.get_by_role("button", name="Pause", exact=True).click()
    expect(page.locator("#bulk-live .st").first).to_have_text("Paused")
    page.get_by_role("button", name="Cancel the rest").click()
    expect(page.locator("#bulk-live .st").first).to_have_text("Cancelled")
    wait_idle(stack)
    [(reserved,)] = rows(stack, "SELECT reserved FROM studio_quotaaccount")
    assert reserved == 0


def test_the_composer_fills_a_template_and_remembers_what_is_typed(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in("marketer")
    slug = open_studio(page)
    # It opens with what was rendered last, which may be this very template: then nothing would be seen to come.
    page.select_option("#version", label="Own words")
    expect(page.locator("#holes")).to_have_count(0)
    page.select_option("#version", label="Product on a colour")
    page.locator("#holes").get_by_label("Product, English").fill("panda")
    page.select_option("[name='v-tone-zh']", "蓝色")
    page.select_option("[name='v-ground-zh']", "放射背景")
    expect(page.locator("#prompt-en")).to_have_value("a panda on a blue sunburst background")
    expect(page.locator("[data-draft-said]")).to_contain_text("Draft saved at")
    page.goto(f"/c/{slug}/")
    expect(page.locator("#prompt-en")).to_have_value("a panda on a blue sunburst background")
    page.fill("#count", "1")
    page.locator("#composer button.go").click()
    expect(page.locator("#sheets .sheet").first).to_contain_text("a panda on a blue sunburst background")
    wait_idle(stack)
    page.goto(f"/c/{slug}/")
    live(page)
    expect(page.locator("#draft")).to_be_hidden()
    page.select_option("#version", label="Own words")
    expect(page.locator("#holes")).to_have_count(0)
    page.locator("details.idea summary").click()
    page.fill("#idea", "rocket, gold")
    page.press("#idea", "Enter")
    expect(page.locator("#prompt-en")).to_have_value(re.compile("^a rocket on a gold "))
    page.locator("details.earlier summary").click()
    page.locator(".prompts a").first.click()
    expect(page.locator("#prompt-en")).to_have_value("a panda on a blue sunburst background")


def test_a_campaign_is_planned_copied_and_put_away(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in("marketer")
    slug = open_studio(page)
    page.goto(f"/c/{slug}/overview/")
    page.get_by_role("button", name="Duplicate").click()
    page.fill("#id_goal", "Bring people back.")
    page.fill("#id_name_en", "Second round")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Bring people back.")).to_be_visible()
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".head .st")).to_have_text("Running")
    page.get_by_role("button", name="Archive").click()
    expect(page.get_by_text("This campaign is archived: its pictures stay")).to_be_visible()
    page.get_by_role("link", name="Create", exact=True).first.click()
    page.goto("/?tab=archived")
    expect(page.get_by_role("link", name="Second round")).to_be_visible()
