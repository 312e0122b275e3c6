"""Every text of the pages has its Chinese, with the same placeholders and Chinese punctuation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest
from django.utils.translation.template import templatize

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "studio" / "locale" / "zh_Hans" / "LC_MESSAGES" / "django.po"

#: Function -> how many of its leading arguments are (context, singular, plural).
CALLS = {
    "_": "s", "gettext": "s", "gettext_lazy": "s", "gettext_noop": "s",
    "ngettext": "sp", "ngettext_lazy": "sp",
    "pgettext": "cs", "pgettext_lazy": "cs", "npgettext": "csp", "npgettext_lazy": "csp",
}
# What templatize writes around the calls is not Python: the calls are cut out and read one by one.
_LITERAL = r"""u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_CALL = re.compile(rf"\b(_|n?p?gettext)\(\s*{_LITERAL}(?:\s*,\s*{_LITERAL})*(?:\s*,\s*count)?\s*\)")
_PLACEHOLDER = re.compile(r"%\((\w+)\)[sd]")
_HAN = r"[\u4e00-\u9fff]"
_HALF_WIDTH = re.compile(rf"{_HAN}\s?[,:;?!](?=\s|{_HAN}|$)|[,:;?!]\s?{_HAN}|{_HAN}\.(?=\s|$)")
_STRAIGHT_QUOTES = re.compile("[“”‘’]")

#: (context or None, msgid)
Key = tuple[str | None, str]


@pytest.fixture(scope="module")
def catalogue() -> polib.POFile:
    """The Chinese catalogue."""
    return polib.pofile(str(CATALOGUE), encoding="utf-8")


def _keys(tree: ast.AST, where: str) -> Iterator[tuple[Key, str]]:
    """(context, msgid) of every translated literal, with where it stands."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        shape = CALLS.get(name)
        if shape is None or len(node.args) < len(shape):
            continue
        texts = [arg.value if isinstance(arg, ast.Constant) else None for arg in node.args[:len(shape)]]
        text = texts[shape.index("s")]
        if isinstance(text, str):
            context = texts[0] if shape.startswith("c") else None
            yield (context if isinstance(context, str) else None, text), where


def _texts() -> list[tuple[Key, str]]:
    found: list[tuple[Key, str]] = []
    for folder in ("studio", "zimage_web"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            found += _keys(ast.parse(file.read_text(encoding="utf-8")), str(file.relative_to(ROOT)))
    for file in sorted((ROOT / "templates").rglob("*.*")):
        if file.suffix in {".html", ".txt"}:
            where = str(file.relative_to(ROOT))
            for call in _CALL.finditer(templatize(file.read_text(encoding="utf-8"), origin=where)):
                found += _keys(ast.parse(call[0]), where)
    return found


def _translations(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def test_the_texts_are_found() -> None:
    keys = {key for key, _where in _texts()}
    assert len(keys) > 400
    assert {(None, "Campaigns"), ("state", "Approved"), (None, "Choose at least one format.")} <= keys


def test_every_text_has_its_chinese(catalogue: polib.POFile) -> None:
    known = {(entry.msgctxt, entry.msgid): entry for entry in catalogue if not entry.obsolete}
    missing = [(where, key) for key, where in _texts() if key not in known or not all(_translations(known[key]))]
    assert missing == []


def test_no_translation_is_a_guess(catalogue: polib.POFile) -> None:
    assert [entry.msgid for entry in catalogue if entry.fuzzy or entry.obsolete] == []


def test_the_catalogue_holds_no_text_that_nothing_shows(catalogue: polib.POFile) -> None:
    keys = {key for key, _where in _texts()}
    assert [entry.msgid for entry in catalogue if (entry.msgctxt, entry.msgid) not in keys] == []


def test_placeholders_are_kept(catalogue: polib.POFile) -> None:
    wrong = []
    for entry in catalogue:
        wanted = set(_PLACEHOLDER.findall(entry.msgid + entry.msgid_plural))
        # One form of a plural may leave its number out: "Submit the picked one".
        wrong += [entry.msgid for text in _translations(entry) if set(_PLACEHOLDER.findall(text)) != wanted]
    assert wrong == []


def test_markup_is_kept(catalogue: polib.POFile) -> None:
    tag = re.compile(r"</?\w+")
    wrong = [entry.msgid for entry in catalogue for text in _translations(entry)
             if sorted(tag.findall(text)) != sorted(tag.findall(entry.msgid))]
    assert wrong == []


def test_chinese_has_chinese_punctuation(catalogue: polib.POFile) -> None:
    texts = [text for entry in catalogue for text in _translations(entry)]
    assert [text for text in texts if _HALF_WIDTH.search(_PLACEHOLDER.sub("", text))] == []
    assert [text for text in texts if _STRAIGHT_QUOTES.search(text)] == []


@pytest.mark.parametrize(("text", "wrong"), [
    ("你好,世界", True), ("尺寸:大", True), ("真的?", True), ("好了.", True), ("4,920 张", False), ("3:4 竖版", False),
    ("你好，世界。", False), ("10:52 送审", False), ("用 bf16 或 fp32", False),
])
def test_the_punctuation_check_can_fail(text: str, wrong: bool) -> None:
    assert bool(_HALF_WIDTH.search(text)) is wrong
