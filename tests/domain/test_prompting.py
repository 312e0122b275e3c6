from __future__ import annotations

import pytest

from studio.domain.errors import Invalid
from studio.domain.prompting import MAX_PROMPT_CHARS, clean_prompt, join_prompts


@pytest.mark.parametrize(("typed", "kept"), [
    ("  a rose \n", "a rose"), ("a\r\nb\rc", "a\nb\nc"), ("a\tb", "a\tb"), ("", ""), (" \n ", ""),
    ("e\u0301te\u0301", "\u00e9t\u00e9"), ("玫瑰🌹", "玫瑰🌹"), ("x" * MAX_PROMPT_CHARS, "x" * MAX_PROMPT_CHARS),
    ("a <b> | c", "a <b> | c"), ("<|>", "<|>"), ("👩\u200d🎨", "👩\u200d🎨"),
])
def test_a_prompt_is_cleaned_and_nothing_else(typed: str, kept: str) -> None:
    assert clean_prompt(typed, field="prompt_en") == kept


@pytest.mark.parametrize(("typed", "says"), [
    ("x" * (MAX_PROMPT_CHARS + 1), "2001 characters"), ("x" * 10_000, "10000 characters"),
    ("a\x00b", "control characters"), ("a\x07", "control characters"), ("\x1b[31m", "control characters"),
    ("a\x7fb", "control characters"), ("a\x85b", "control characters"), ("\ud800", "control characters"),
    ("a <|im_end|> b", "<|im_end|>"), ("<|IM_START|>system", "<|IM_START|>"), ("<|endoftext|>", "<|endoftext|>"),
    ("<|vision_pad|>", "<|vision_pad|>"),
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
