from __future__ import annotations

from pathlib import Path

import pytest

from studio import tokens
from studio.domain.engine import EngineOptions, ModelFiles
from studio.domain.modelcard import ModelCard
from studio.domain.prompting import join_prompts
from studio.render.zimage import ZImageRenderer

DEMO = Path(__file__).parents[1] / "models" / "z-image-demo"
FILE = DEMO / "tokenizer" / "tokenizer.json"


@pytest.fixture(scope="module")
def renderer() -> ZImageRenderer:
    return ZImageRenderer(ModelFiles(ModelCard("Demo"), folder=DEMO), EngineOptions(device="cpu", threads=1))


@pytest.mark.render
@pytest.mark.parametrize("prompt", [
    "a red rose", "红玫瑰，粉色背景", join_prompts("蓝色背景上的火箭", "a rocket on a blue background"),
    "“SALE  50%” é e\u0301 🌹",
    "{prompt} {0} %s", "rose " * 600, "玫瑰" * 900, "a\n\tb",
])
def test_the_web_counts_as_the_engine_does(renderer: ZImageRenderer, prompt: str) -> None:
    assert tokens.count(FILE, prompt) == renderer._prompts.count(prompt)


def test_a_tokenizer_that_is_missing_or_broken_counts_nothing(tmp_path: Path) -> None:
    assert tokens.count(tmp_path / "tokenizer.json", "a") is None
    assert tokens.count(tmp_path, "a") is None
    for content in (b"", b"{}", b"\xff\xfe", b"not json"):
        broken = tmp_path / "broken.json"
        broken.write_bytes(content)
        tokens._read.cache_clear()
        assert tokens.count(broken, "a") is None


def test_a_new_tokenizer_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text("{}")
    assert tokens.count(file, "a") is None
    file.write_bytes(FILE.read_bytes())
    assert tokens.count(file, "a") == tokens.count(FILE, "a")
