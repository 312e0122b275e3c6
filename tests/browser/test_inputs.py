"""Pictures in the composer, in a real browser: upload, paint a mask, count tokens, render, render again."""

from __future__ import annotations

import json
import time
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import SignIn, rows, settle, wait_idle
from tests.browser.test_looks import NARROW, WIDE, faults
from tests.browser.test_path import compose, open_studio, render
from tests.stack import Stack


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    file = tmp_path / "photo.jpg"
    Image.linear_gradient("L").resize((300, 200)).convert("RGB").save(file, quality=95)
    return file


def choose(page: Page, task: str) -> None:
    page.locator(f"#composer input[name=task][value={task}]").check(force=True)


def paint(page: Page, *points: tuple[float, float]) -> None:
    """One stroke over the canvas; points as parts of its width and height."""
    canvas = page.locator("[data-mask-canvas]")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def mask_of(page: Page, pk: str) -> Image.Image:
    answer = page.request.get(f"/inputs/{pk}.png")
    assert answer.ok
    return Image.open(BytesIO(answer.body())).convert("L")


def held(page: Page, name: str) -> str:
    return page.locator(f"#slot-{name} input[name={name}]").input_value()


def test_a_part_of_a_picture_is_painted_over_and_sent(stack: Stack, sign_in: SignIn, photo: Path) -> None:
    page = sign_in("marketer")
    open_studio(page)
    compose(page, en="a rocket on a blue background", formats=["taobao-main"], count=1, seed=3)
    choose(page, "image")
    page.set_input_files("input[name=source_file]", photo)
    expect(page.locator("#slot-source.filled")).to_contain_text("300 × 200")
    source = held(page, "source")
    choose(page, "inpaint")
    paint(page, (0.2, 0.5), (0.8, 0.5))
    expect(page.locator("#slot-mask.filled")).to_contain_text("300 × 200")
    first = mask_of(page, held(page, "mask"))
    assert first.size == (300, 200)
    assert (first.getpixel((150, 100)), first.getpixel((150, 10)), first.getpixel((5, 100))) == (255, 0, 0)

    # A second stroke is taken back, then all of it turned around.
    paint(page, (0.2, 0.1), (0.8, 0.1))
    expect(page.locator("#slot-mask input[name=mask]")).not_to_have_value(held(page, "mask"))
    page.click("[data-mask-undo]")
    page.click("[data-mask-invert]")
    page.press("#prompt-en", "Control+Enter")  # before the pause is over: the mask goes with the form
    wait_queued(stack, source)
    [(mask, strength, task_source)] = rows(
        stack, "SELECT mask_id, strength, source_id FROM studio_renderbatch ORDER BY id DESC LIMIT 1")
    assert (task_source, strength) == (source.replace("-", ""), 0.6)
    turned = mask_of(page, f"{mask[:8]}-{mask[8:12]}-{mask[12:16]}-{mask[16:20]}-{mask[20:]}")
    assert (turned.getpixel((150, 100)), turned.getpixel((150, 10)), turned.getpixel((5, 100))) == (0, 255, 255)

    # What was chosen is still there, also after a reload, and the canvas shows the mask.
    for _ in range(2):
        assert held(page, "source") == source and held(page, "mask")
        expect(page.locator("#composer input[name=task][value=inpaint]")).to_be_checked()
        page.wait_for_function("""() => {
            const canvas = document.querySelector('[data-mask-canvas]');
            return canvas.width === 300 && canvas.getContext('2d').getImageData(150, 10, 1, 1).data[3] === 255
                && canvas.getContext('2d').getImageData(150, 100, 1, 1).data[3] === 0;
        }""")
        page.reload()
    wait_idle(stack)


def wait_queued(stack: Stack, source: str) -> None:
    """Until the batch that starts from `source` is there."""
    for _ in range(200):
        if rows(stack, "SELECT 1 FROM studio_renderbatch WHERE source_id = ?", source.replace("-", "")):
            return
        time.sleep(0.05)
    raise TimeoutError("nothing was queued")


def test_a_bad_file_is_explained_and_another_one_taken(
    stack: Stack, sign_in: SignIn, photo: Path, tmp_path: Path,
) -> None:
    page = sign_in("marketer")
    open_studio(page)
    choose(page, "image")
    text = tmp_path / "notes.png"
    text.write_text("no picture")
    if held(page, "source"):
        page.click("#slot-source button")
        expect(page.locator("#slot-source.filled")).to_have_count(0)
    page.set_input_files("input[name=source_file]", text)
    expect(page.locator("#slot-source .err")).to_contain_text("not a PNG")
    expect(page.locator("#slot-source.htmx-added")).to_have_count(0)  # from here on it hears of another file
    page.set_input_files("input[name=source_file]", photo)
    expect(page.locator("#slot-source.filled")).to_be_visible()
    page.click("#slot-source button")
    expect(page.locator("#slot-source.filled")).to_have_count(0)
    assert held(page, "source") == ""


def test_tokens_are_counted_while_typing(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in("marketer")
    open_studio(page)
    page.fill("#prompt-zh", "红玫瑰")
    page.fill("#prompt-en", "")
    expect(page.locator("#tokens")).to_contain_text("/ 512 tokens")
    few = page.locator("#tokens").inner_text()
    page.fill("#prompt-en", "a red rose")
    expect(page.locator("#tokens")).not_to_have_text(few)
    expect(page.locator("#too-many-tokens")).to_be_hidden()
    page.fill("#prompt-zh", "红玫瑰，" * 450)
    expect(page.locator("#too-many-tokens")).to_contain_text("reads the first 512 tokens")
    expect(page.locator("#tokens.over-limit")).to_be_visible()


def test_a_picture_is_rendered_again_to_the_same_pixels(stack: Stack, sign_in: SignIn) -> None:
    page = sign_in("marketer")
    slug = open_studio(page)
    choose(page, "text")
    compose(page, en="a gift on a yellow background", formats=["taobao-main"], count=1, seed=77)
    newest = render(page)
    expect(newest.locator("figure[data-status=done]")).to_have_count(1)
    asset = newest.locator("figure").first.get_attribute("data-asset")
    page.goto(f"/c/{slug}/gallery/?frame={asset}")
    page.get_by_role("button", name="Render again").click()
    expect(page.get_by_text("is rendered again")).to_be_visible()
    wait_idle(stack)
    [(again, recipe)] = rows(
        stack, "SELECT a.id, a.recipe FROM studio_asset a JOIN studio_renderjob j ON j.id = a.job_id "
               "JOIN studio_renderbatch b ON b.id = j.batch_id WHERE b.again_of_id = ?", asset)
    assert len(json.loads(recipe)["pixels"]) == 64
    page.goto(f"/c/{slug}/gallery/?frame={again}")
    expect(page.get_by_text("Same pixels as")).to_be_visible()


def test_the_page_starts_from_a_picture_without_scripts(stack: Stack, sign_in: SignIn, photo: Path) -> None:
    page = sign_in("marketer", java_script_enabled=False)
    page.goto("/create/")
    compose(page, en="a moon on a navy background", formats=["taobao-main"], count=1, seed=5, task="image")
    page.set_input_files("input[name=source_file]", photo)
    page.locator("#composer button.go").click()
    [(strength, width)] = rows(
        stack, "SELECT b.strength, i.width FROM studio_renderbatch b JOIN studio_renderinput i ON i.id = b.source_id "
               "ORDER BY b.id DESC LIMIT 1")
    assert (strength, width) == (0.6, 300)
    wait_idle(stack)


@pytest.mark.parametrize(("language", "theme", "viewport"), [
    ("en", "light", WIDE), ("zh-hans", "dark", NARROW), ("zh-hans", "light", WIDE)])
def test_the_open_composer_is_accessible_and_whole(
    stack: Stack, sign_in: SignIn, photo: Path, language: str, theme: str, viewport: dict[str, int],
) -> None:
    page = sign_in("marketer", language=language, viewport=viewport)
    settle(page, "theme", theme)
    page.goto("/create/")
    if viewport is NARROW:
        page.locator("[data-open-composer]").first.click()
    choose(page, "image")
    page.set_input_files("input[name=source_file]", photo)
    expect(page.locator("#slot-source.filled")).to_be_visible()
    choose(page, "inpaint")
    expect(page.locator("[data-mask]")).to_be_visible()
    for drawer in page.locator("#composer details").all():
        drawer.evaluate("drawer => { drawer.open = true; }")
    assert faults(page, f"{language} {theme}") == []
