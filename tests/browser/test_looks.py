"""Every page as every role, in both languages, both themes and two widths: accessible, whole, translated."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import SignIn, post, rows, settle
from tests.stack import Stack

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
#: English words that stand on Chinese pages on purpose.
KEPT = {
    "EN", "English", "Dayang", "SEED", "EULER", "Ctrl", "Esc", "Euler", "px", "PNG", "CPU", "x86_64", "Shift", "Enter",
    "Space", "torch", "diffusers", "transformers", "float32", "SHA", "Z-Image", "demo", "min", "LoRA", "AI",
    "Instagram", "Facebook",
}


@pytest.fixture(autouse=True)
def _something_of_everything(stack: Stack, sign_in: SignIn) -> None:
    """A sheet with a faulty row, and a brand kit."""
    if rows(stack, "SELECT 1 FROM studio_bulkrun LIMIT 1"):
        return
    [(version, slug)] = rows(
        stack, "SELECT v.id, c.slug FROM studio_templateversion v, studio_campaign c ORDER BY v.id, c.id LIMIT 1")
    page = sign_in("reviewer")
    post(page, f"/c/{slug}/bulk/", version=str(version), matrix="1", **{"m-tone": "粉色 | pink\n紫色 | violet"})
    post(page, "/brands/", name_zh="云岭", name_en="Yunling", style_zh="晨光", style_en="morning light",
         palette="墨绿 | dark green | #0A3D2C", blocked="最爽")


def pages(stack: Stack) -> list[str]:
    """Addresses with something to see."""
    [(slug,)] = rows(stack, "SELECT slug FROM studio_campaign ORDER BY id LIMIT 1")
    [(asset,)] = rows(stack, "SELECT id FROM studio_asset WHERE campaign_id = "
                             "(SELECT id FROM studio_campaign WHERE slug = ?) ORDER BY id LIMIT 1", slug)
    [(template, version)] = rows(
        stack, "SELECT t.slug, v.id FROM studio_prompttemplate t JOIN studio_templateversion v ON v.template_id = t.id "
               "ORDER BY t.id LIMIT 1")
    [(sheet,)] = rows(stack, "SELECT id FROM studio_bulkrun LIMIT 1")
    [(brand,)] = rows(stack, "SELECT slug FROM studio_brandkit LIMIT 1")
    return [
        f"/c/{slug}/overview/", f"/c/{slug}/edit/", f"/c/{slug}/prompts/", f"/c/{slug}/?template={version}",
        f"/c/{slug}/bulk/?template={version}", f"/bulk/{UUID(sheet)}/", "/brands/", f"/brands/{brand}/",
        "/admin-panel/words/", "/admin-panel/formats/", "/admin-panel/formats/douyin-9x16/",
        "/", "/templates/", f"/templates/{template}/", f"/templates/{template}/versions/", "/templates/products/",
        "/campaigns/new/", f"/c/{slug}/", f"/c/{slug}/batches/1/", f"/c/{slug}/gallery/",
        f"/c/{slug}/gallery/?frame={asset}", f"/c/{slug}/gallery/?status=approved", f"/review/{asset}/", "/review/",
        "/admin-panel/usage/", "/admin-panel/workers/", "/admin-panel/audit/", "/me/", "/me/password/",
        "/no-such-page/"]


def faults(page: Page, path: str) -> list[str]:
    """What is wrong with the page as it stands: axe's findings, and anything wider than the window."""
    found = [f"{path}: {violation['id']}: {node['html'][:160]}"
             for violation in Axe().run(page).response["violations"] for node in violation["nodes"][:3]]
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if overflow > 0:
        found.append(f"{path}: {overflow} px wider than the window")
    return found


@pytest.mark.parametrize(("role", "language", "theme", "viewport"), [
    ("admin", "en", "light", WIDE), ("admin", "zh-hans", "dark", NARROW),
    ("marketer", "zh-hans", "light", NARROW), ("reviewer", "en", "dark", WIDE)])
def test_pages_are_accessible_and_whole(
    stack: Stack, sign_in: SignIn, role: str, language: str, theme: str, viewport: dict[str, int],
) -> None:
    page = sign_in(role, language=language, viewport=viewport)
    settle(page, "theme", theme)
    found: list[str] = []
    for path in pages(stack):
        page.goto(path)
        assert page.locator("html").get_attribute("lang") == ("en" if language == "en" else "zh-CN")
        found += faults(page, path)
    assert found == []


def test_chinese_pages_are_chinese(stack: Stack, sign_in: SignIn) -> None:
    """No run of English words outside of text that is marked as English or is somebody's own."""
    page = sign_in("admin", language="zh-hans")
    found = []
    for path in pages(stack):
        page.goto(path)
        texts = page.evaluate("""() => {
            const skip = 'script, style, template, [lang|=en], [lang=""], input, textarea, '
                + '.av, .slug, .mono, time, dialog, code';
            const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            const out = [];
            while (walk.nextNode()) {
                const text = walk.currentNode.textContent.trim();
                if (text && !walk.currentNode.parentElement.closest(skip)) out.push(text);
            }
            return out;
        }""")
        for text in texts:
            words = [word for word in re.findall(r"[A-Za-z][A-Za-z\-_]{2,}", text) if word not in KEPT]
            if len(words) >= 2 and not CHINESE.search(text) and "@" not in text and words != ["Elena", "Fischer"]:
                found.append(f"{path}: {text[:100]}")
    assert found == []
