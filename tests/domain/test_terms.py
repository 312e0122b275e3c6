from __future__ import annotations

import pytest

from studio.domain.terms import Forbidden, TermAction, find

BEST = Forbidden("最佳", TermAction.BLOCK, "广告法")
FIRST = Forbidden("第一", TermAction.WARN)
ENGLISH = Forbidden("No. 1", TermAction.WARN)
WHOLE = Forbidden("best", TermAction.WARN)
TERMS = (FIRST, BEST, ENGLISH, WHOLE)


@pytest.mark.parametrize(("text", "found"), [
    ("冬日第一盏", ["第一"]), ("全网最佳，第一", ["最佳", "第一"]), ("最 佳", ["最佳"]), ("最·佳", ["最佳"]),
    ("最\u200b佳", ["最佳"]), ("BEST tea", ["best"]), ("ｂｅｓｔ", ["best"]), ("the bestest", []),
    ("no.  1", ["No. 1"]), ("NO. 1", ["No. 1"]), ("No. 12", []), ("No.　1", ["No. 1"]), ("NO.1", ["No. 1"]),
    ("No.10", []), ("xNo. 1", []), ("the best.", ["best"]), ("第 二", []), ("", []),
    ("好茶", []),
])
def test_words_are_found_however_they_are_written(text: str, found: list[str]) -> None:
    assert [one.term.text for one in find(text, TERMS)] == found


@pytest.mark.parametrize("text", ["100%有效", "100 % 有 效", "１００％有效", "保证100%有效!"])
def test_signs_and_both_scripts_in_one_word(text: str) -> None:
    assert find(text, [Forbidden("100%有效", TermAction.WARN)])
    assert not find("1100%有效", [Forbidden("100%有效", TermAction.WARN)])


def test_blocking_words_come_first_and_are_shown_as_written() -> None:
    one, two = find("第一，最 佳", TERMS)
    assert (one.term, one.found) == (BEST, "最 佳") and two.term is FIRST


def test_what_means_something_to_a_pattern_is_plain_text() -> None:
    assert find("100%有效", [Forbidden("100%有效", TermAction.WARN)])
    assert not find("abc", [Forbidden("a.c", TermAction.WARN), Forbidden("(", TermAction.WARN)])
    assert not find("anything", [Forbidden(" ", TermAction.WARN)])
