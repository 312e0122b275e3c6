"""The main job, in a real browser, with three people: render, watch, submit, review, see the quota."""

from __future__ import annotations

import json
import re

import psutil
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SignIn, post, rows, wait_idle
from tests.stack import Stack


def open_studio(page: Page, number: int = 0) -> str:
    """Open the n-th demo campaign's studio from the home page and wait for the socket; returns its path."""
    page.goto("/create/")
    slug = page.url.rstrip("/").split("/")[-1]
    if number:
        page.goto("/")
        links = page.locator("main a[href^='/c/']")
        slugs = list(dict.fromkeys(
            re.sub(r"^/c/([^/]+)/.*$", r"\1", links.nth(i).get_attribute("href") or "") for i in range(links.count())))
        slug = slugs[number]
        page.goto(f"/c/{slug}/")
    live(page)
    return slug


def live(page: Page) -> None:
    """Until the socket stands."""
    expect(page.locator("html[data-live=on]")).to_have_count(1)


def compose(
    page: Page, *, zh: str = "", en: str = "", formats: list[str], count: int, seed: int | str, task: str = "text",
) -> None:
    """Fill the composer; formats outside the campaign's own are behind the disclosure."""
    page.locator(f"#composer input[name=task][value={task}]").check(force=True)  # the page remembers another
    page.fill("#prompt-zh", zh)
    page.fill("#prompt-en", en)
    ticked = page.locator("#composer input[name=formats]:checked")
    while ticked.count():
        ticked.first.uncheck(force=True)
    others = page.locator("#composer details.all")
    for key in formats:
        box = page.locator(f"#composer input[name=formats][value={key}]")
        if not box.is_visible() and others.count() and not others.get_attribute("open"):
            others.locator("summary").click()
        box.check(force=True)
    page.fill("#count", str(count))
    page.fill("#seed", str(seed))


def render(page: Page) -> Locator:
    """Press Render by key; the new batch, once it is on the page."""
    first = page.locator("#sheets .sheet").first
    before = first.get_attribute("data-number") if first.count() else ""
    page.press("#prompt-en", "Control+Enter")
    expect(first).not_to_have_attribute("data-number", before or "0")
    return page.locator(f"#sheets .sheet[data-number='{first.get_attribute('data-number')}']")


def spent(stack: Stack) -> tuple[int, int]:
    """(spent, reserved) of the team this month."""
    [found] = rows(stack, "SELECT spent, reserved FROM studio_quotaaccount")
    return found[0], found[1]


def test_three_people_take_a_picture_from_prompt_to_approval(stack: Stack, sign_in: SignIn) -> None:
    marketer = sign_in("marketer")
    slug = open_studio(marketer)
    watcher = sign_in("reviewer", f"/c/{slug}/")
    live(watcher)
    before = spent(stack)
    assert before[1] == 0

    # The marketer renders two formats, two pictures each.
    marketer.evaluate("""() => {
        window.steps = [];
        document.addEventListener('live:job.step', ({detail: event}) =>
            window.steps.push([event.job, event.step, !!event.preview]));
    }""")
    compose(marketer, zh="蓝色背景上的火箭", en="a rocket on a blue background",
            formats=["taobao-main", "wechat-lead"], count=2, seed=40)
    newest = render(marketer)
    expect(newest.locator("figure[data-status]")).to_have_count(4)
    sizes = [box["width"] for box in (tile.bounding_box() for tile in newest.locator(".tile").all()) if box]
    # The other person sees the same batch without doing anything.
    number = newest.get_attribute("data-number")
    same = watcher.locator(f"#sheets .sheet[data-number='{number}']")
    expect(same.locator("figure[data-status]")).to_have_count(4)
    expect(newest.locator("figure[data-status=done]")).to_have_count(4)
    expect(same.locator("figure[data-status=done]")).to_have_count(4)
    # Nothing moved: the tiles had their final size from the start.
    assert [box["width"] for box in (tile.bounding_box() for tile in newest.locator(".tile").all()) if box] == sizes

    # All steps of the last picture came over the socket, with previews.
    seen = marketer.evaluate("window.steps")
    last = seen[-1][0]
    assert [step for job, step, _preview in seen if job == last][-1] == 8
    assert all(preview for _job, _step, preview in seen)
    assert len({job for job, _step, _preview in seen}) == 4

    # Exact pixels, both languages joined, the recipe complete, and exactly four pictures charged.
    found = rows(stack, """SELECT a.width, a.height, a.recipe, j.seed FROM studio_asset a
        JOIN studio_renderjob j ON j.id = a.job_id JOIN studio_renderbatch b ON b.id = j.batch_id
        WHERE b.number = ? AND b.campaign_id = (SELECT id FROM studio_campaign WHERE slug = ?) ORDER BY j.position""",
        number, slug)
    assert [(w, h, seed) for w, h, _recipe, seed in found] == [
        (800, 800, 40), (800, 800, 41), (900, 383, 40), (900, 383, 41)]
    recipe = json.loads(found[0][2])
    assert recipe["prompt"] == "蓝色背景上的火箭 | a rocket on a blue background"
    assert len(recipe["checksum"]) == 64 and recipe["diffusers"] and recipe["worker"] == "worker-1"
    assert set(recipe["timings"]) == {"queue", "text", "prepare", "steps", "decode", "encode", "store"}
    assert len(recipe["timings"]["steps"]) == 8
    assert spent(stack) == (before[0] + 4, 0)

    # Pick the first, submit it from the gallery.
    marketer.goto(f"/c/{slug}/gallery/")
    live(marketer)
    frame = marketer.locator("figure[data-asset]").first
    asset = frame.get_attribute("data-asset")
    frame.hover()
    frame.locator("[data-pick] button").click()
    expect(frame.locator("[data-pick] button")).to_have_attribute("aria-pressed", "true")
    marketer.goto(f"/c/{slug}/gallery/?status=picked")
    live(marketer)
    marketer.locator(f"#asset-{asset} input[type=checkbox]").check(force=True)
    marketer.keyboard.press("s")
    expect(marketer.get_by_text("in review now")).to_be_visible()

    # The author cannot decide; the reviewer approves by key; the author sees it without a reload.
    marketer.goto(f"/review/{asset}/")
    expect(marketer.locator("#approve[aria-disabled]")).to_be_visible()
    assert post(marketer, f"/review/{asset}/approve/").status == 403
    marketer.goto(f"/c/{slug}/gallery/")
    live(marketer)
    expect(marketer.locator(f"#asset-{asset}")).to_have_attribute("data-status", "in_review")
    watcher.goto(f"/review/{asset}/")
    live(watcher)
    watcher.keyboard.press("a")
    expect(watcher.get_by_text("approved.")).to_be_visible()
    expect(marketer.locator(f"#asset-{asset}")).to_have_attribute("data-status", "approved")
    expect(marketer.locator(f"#asset-{asset} .seal")).to_have_count(1)


def test_changes_need_a_comment_and_reach_the_author(stack: Stack, sign_in: SignIn) -> None:
    marketer = sign_in("marketer")
    slug = open_studio(marketer)
    marketer.goto(f"/c/{slug}/gallery/?status=draft")
    asset = marketer.locator("figure[data-asset]").last.get_attribute("data-asset")
    marketer.goto(f"/c/{slug}/gallery/")
    marketer.locator(f"#asset-{asset} input[type=checkbox]").check(force=True)
    marketer.locator("[data-submit]").click()
    expect(marketer.get_by_text("in review now")).to_be_visible()

    reviewer = sign_in("reviewer", f"/review/{asset}/")
    reviewer.click("#ask")
    assert rows(stack, "SELECT status FROM studio_asset WHERE id = ?", asset) == [("in_review",)]
    reviewer.fill("textarea[name=comment]", "更大的火箭 a bigger one, please")
    reviewer.click("#ask")
    expect(reviewer.get_by_text("sent back with your comment")).to_be_visible()
    live(marketer)
    expect(marketer.locator(f"#asset-{asset}")).to_have_attribute("data-status", "changes")
    marketer.goto(f"/c/{slug}/gallery/?frame={asset}")
    expect(marketer.get_by_text("更大的火箭 a bigger one, please").first).to_be_visible()


def test_an_exhausted_quota_says_so_before_anything_is_queued(stack: Stack, sign_in: SignIn) -> None:
    wait_idle(stack)
    admin = sign_in("admin", "/admin-panel/usage/")
    used = spent(stack)[0]
    admin.fill("#limit", str(used + 1))
    admin.locator("form[action$='/limit/'] button").first.click()
    try:
        expect(admin.get_by_text(f"{used + 1} pictures a month now")).to_be_visible()
        marketer = sign_in("marketer")
        open_studio(marketer)
        [(jobs,)] = rows(stack, "SELECT count(*) FROM studio_renderjob")
        compose(marketer, en="a panda on a green background", formats=["taobao-main"], count=2, seed=1)
        expect(marketer.locator("#over-quota")).to_be_visible()
        marketer.press("#prompt-en", "Control+Enter")
        expect(marketer.locator("#toasts").get_by_text("Nothing was queued")).to_be_visible()
        assert rows(stack, "SELECT count(*) FROM studio_renderjob") == [(jobs,)]
        assert spent(stack) == (used, 0)
    finally:
        admin.goto("/admin-panel/usage/")
        admin.fill("#limit", "500")
        admin.locator("form[action$='/limit/'] button").first.click()
    admin.goto("/admin-panel/audit/")
    expect(admin.get_by_text("changed the team's limit").first).to_be_visible()


def test_a_reload_and_a_lost_connection_catch_up(stack: Stack, sign_in: SignIn) -> None:
    marketer = sign_in("marketer")
    slug = open_studio(marketer)
    compose(marketer, en="a crown on a purple background", formats=["taobao-main"], count=8, seed=7)
    marketer.click("details.adv summary")
    marketer.select_option("#sampler", "dpmpp_2m")
    marketer.fill("#steps", "12")
    expect(marketer.locator("[data-sampling]")).to_have_text("DPM++ 2M · 12 steps")
    newest = render(marketer)
    expect(newest.locator("header .slug")).to_contain_text("DPM++ 2M · 12 steps")
    expect(marketer.locator("[data-sampling]")).to_have_text("DPM++ 2M · 12 steps")
    expect(newest.locator("figure .steps8").first).to_have_attribute("aria-valuemax", "12")
    expect(newest.locator("figure[data-status=done]").first).to_be_visible()
    marketer.reload()
    expect(newest.locator("figure[data-status]")).to_have_count(8)
    # The network goes away while pictures finish, and comes back.
    marketer.context.set_offline(True)
    wait_idle(stack)
    marketer.context.set_offline(False)
    expect(newest.locator("figure[data-status=done]")).to_have_count(8, timeout=20_000)
    assert slug in marketer.url


def test_the_page_works_without_scripts(stack: Stack, sign_in: SignIn) -> None:
    marketer = sign_in("marketer", java_script_enabled=False)
    marketer.goto("/create/")
    slug = marketer.url.rstrip("/").split("/")[-1]
    compose(marketer, zh="红色放射背景上的礼物", formats=["taobao-main"], count=1, seed=5)
    marketer.locator("#composer button.go").click()
    assert marketer.url.rstrip("/").endswith(f"/c/{slug}")
    wait_idle(stack)
    marketer.reload()
    newest = marketer.locator("#sheets .sheet").first
    expect(newest.locator("figure[data-status=done]")).to_have_count(1)
    asset = newest.locator("figure").first.get_attribute("data-asset")
    marketer.goto(f"/c/{slug}/gallery/")
    marketer.locator(f"#asset-{asset} input[type=checkbox]").check(force=True)
    marketer.locator("#selection [data-submit]").click()
    reviewer = sign_in("reviewer", f"/review/{asset}/", java_script_enabled=False)
    reviewer.click("#approve")
    assert rows(stack, "SELECT status FROM studio_asset WHERE id = ?", asset) == [("approved",)]


def test_a_killed_worker_costs_nothing_and_loses_nothing(stack: Stack, sign_in: SignIn) -> None:
    wait_idle(stack)
    marketer = sign_in("marketer")
    open_studio(marketer)
    before = spent(stack)[0]
    compose(marketer, en="a moon on a navy background", formats=["xiaohongshu-3x4"], count=8, seed=90)
    newest = render(marketer)
    expect(newest.locator("figure[data-status=done]").first).to_be_visible()
    [worker] = [child for child in psutil.Process(stack.supervisor.pid).children(recursive=True)
                if "render" in child.cmdline() and "celery" in child.cmdline()]
    worker.kill()
    expect(newest.locator("figure[data-status=done]")).to_have_count(8, timeout=60_000)
    wait_idle(stack)
    assert spent(stack) == (before + 8, 0)
