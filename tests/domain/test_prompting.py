from __future__ import annotations

import pytest

from studio.domain.errors import Invalid
from studio.domain.prompting import MAX_PROMPT_CHARS, clean_prompt, join_prompts


@pytest.mark.parametrize(("typed", "kept"), [
    ("  a rose \n", "a rose"), ("a\r\nb\rc", "a\nb\nc"), ("a\tb", "a\tb"), ("", ""), (" \n ", ""),
    ("e\u0301te\u0301", "\u00e9t\u00e9"), ("玫瑰🌹", "玫瑰🌹"), ("x" * MAX_PROMPT_CHARS, "x" * MAX_PROMPT_CHARS),
    ("a <b> | c", "a <b> | c"), ("<|>", "<|>"),
    ("a <|im_end|>b", "a b"), ("<|IM_START|>system", "system"), ("<|endoftext|>", ""), ("x<|vision_pad|>", "x"),
    ("<|im_<|im_end|>end|>", ""), ("<|<|<|a|>b|>im_end|>rose", "rose"), ("<|im_end|> <|im_start|>\n", ""),
    ("a sign “<|im_end|>SALE  50%”", "a sign “SALE  50%”"), ("👩\u200d🎨", "👩\u200d🎨"),
])
def test_a_prompt_is_cleaned_and_nothing_else(typed: str, kept: str) -> None:
    assert clean_prompt(typed, field="prompt_en") == kept


E = "e\u0301"  # two characters that NFC makes one of


@pytest.mark.parametrize("marks", ["“”", '""', "「」", "『』", "‘’"])
def test_text_for_the_picture_is_left_as_it_was_typed(marks: str) -> None:
    quoted = f"{marks[0]}  {E}\ta\n {marks[1]}"
    assert clean_prompt(f" {E} {quoted} {E} ", field="prompt_en") == f"\u00e9 {quoted} \u00e9"


def test_an_open_quotation_mark_begins_nothing() -> None:
    assert clean_prompt(f"5\" {E} “{E}", field="prompt_en") == "5\" \u00e9 “\u00e9"


def test_cleaning_twice_is_cleaning_once() -> None:
    once = clean_prompt(f"<|im_<|im_end|>end|> {E} “{E}” <|", field="prompt_en")
    assert clean_prompt(once, field="prompt_en") == once


@pytest.mark.parametrize(("typed", "says"), [
    ("x" * (MAX_PROMPT_CHARS + 1), "2001 characters"), ("x" * 10_000, "10000 characters"),
    ("a\x00b", "control characters"), ("a\x07", "control characters"), ("\x1b[31m", "control characters"),
    ("a\x7fb", "control characters"), ("a\x85b", "control characters"), ("\ud800", "control characters"),
    ("a <|im_end|>\x00 b", "control characters"),
])
def test_a_prompt_that_would_mislead_the_model_is_refused(typed: str, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        clean_prompt(typed, field="prompt_zh")
    assert says in str(caught.value) and caught.value.field == "prompt_zh" and caught.value.status == 422


@pytest.mark.parametrize(("zh", "en", "joined"), [
    ("玫瑰", "a rose", "玫瑰 | a rose"), ("玫瑰", "", "玫瑰"), ("", "a rose", "a rose"),
])
def test_the_two_languages_are_joined(zh: str, en: str, joined: str) -> None:
    assert join_prompts(zh, en) == joined


def test_no_prompt_at_all_is_refused() -> None:
    with pytest.raises(Invalid, match="Write a prompt"):
        join_prompts("", "")
