"""What a demo model says it knows is read with care: it comes from a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from studio import checkpoint
from studio.domain.world import EXAMPLES, Word, World

DEMO = Path(__file__).parents[2] / "models" / "z-image-demo"
WORD = {"en": "gift box", "zh": "礼物"}
SMALL: dict[str, Any] = {
    "things": [WORD], "grounds": [{"en": "red", "zh": "红色", "tones": ["#ff7468", "#BE1220"]}],
    "styles": [{"en": "soft {c} gradient background", "zh": "{c}渐变背景"}], "places": [{"en": "left", "zh": "左"}]}


def read(folder: Path, text: str | bytes) -> tuple[World | None, list[str]]:
    """What is read from a file of that content, and what was logged."""
    (folder / "world.json").write_bytes(text.encode() if isinstance(text, str) else text)
    with capture_logs() as logs:
        found = checkpoint.read_world(folder)
    return found, [line["event"] for line in logs]


def test_the_demo_model_says_what_it_knows() -> None:
    world = checkpoint.read_world(DEMO)
    assert world
    assert [len(words) for words in (world.things, world.grounds, world.styles, world.places)] == [64, 15, 4, 5]
    assert all(len(ground.tones) == 2 for ground in world.grounds)
    assert world.examples() == list(EXAMPLES)


def test_words_come_in_both_languages_and_styles_without_their_colour(tmp_path: Path) -> None:
    world, logs = read(tmp_path, json.dumps(SMALL))
    assert world == World(
        (Word("gift box", "礼物"),), (Word("red", "红色", ("#ff7468", "#BE1220")),),
        (Word("soft gradient background", "渐变背景"),), (Word("left", "左"),))
    assert logs == []
    assert [example.name_zh for example in world.examples()] == ["红色放射背景上的礼物"]


def test_a_model_without_the_file_says_nothing(tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert checkpoint.read_world(tmp_path) is None
        assert checkpoint.read_world(tmp_path / "gone") is None
    assert logs == []


@pytest.mark.parametrize("change", [
    {"things": []}, {"things": None}, {"things": {"en": "a", "zh": "b"}}, {"things": [WORD] * 301},
    {"things": ["gift box"]}, {"things": [{"en": "gift box"}]}, {"things": [WORD | {"en": 7}]},
    {"things": [WORD | {"zh": " "}]}, {"things": [WORD | {"zh": "长" * 81}]}, {"styles": [{"en": "{c} ", "zh": "{c}"}]},
    {"grounds": [WORD | {"tones": "red"}]}, {"grounds": [WORD | {"tones": ["red"]}]},
    {"grounds": [WORD | {"tones": ["#ffffff;background:url(//x)"]}]}, {"grounds": [WORD | {"tones": [1]}]},
])
def test_a_file_with_something_else_is_not_used_and_logged(tmp_path: Path, change: dict[str, Any]) -> None:
    assert read(tmp_path, json.dumps(SMALL | change)) == (None, ["model.world_unusable"])


@pytest.mark.parametrize("text", ["", "{", "[]", "null", b"\xff\xfe", "[" * 100_000])
def test_a_damaged_file_is_not_used_and_logged(tmp_path: Path, text: str | bytes) -> None:
    assert read(tmp_path, text) == (None, ["model.world_unusable"])


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    assert read(tmp_path, "{")[1] == ["model.world_unusable"]
    with capture_logs() as logs:
        assert checkpoint.read_world(tmp_path) is None
    assert logs == []
    os.utime(tmp_path / "world.json", (1, 1))
    assert read(tmp_path, json.dumps(SMALL))[0]


def test_what_a_model_says_of_itself_is_not_in_its_checksum(tmp_path: Path) -> None:
    for part in ("transformer", "vae", "text_encoder", "tokenizer", "scheduler"):
        (tmp_path / part).mkdir()
    before = checkpoint.checksum(tmp_path, tmp_path / "cache" / "sums")
    (tmp_path / "world.json").write_text("{}", encoding="utf-8")
    assert checkpoint.checksum(tmp_path, tmp_path / "cache" / "sums") == before
