"""Models that the render tests share; each is built or loaded once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from studio.domain.spec import RenderSpec
from studio.render.zimage import ZImageRenderer
from tests import tiny

DEMO = Path(__file__).parents[2] / "models" / "z-image-demo"


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def tiny_renderer(tiny_folder: Path) -> ZImageRenderer:
    return ZImageRenderer(tiny_folder, device="cpu", threads=1, checksum="abc", name="Tiny", max_tokens=64)


@pytest.fixture(scope="session")
def demo_renderer() -> ZImageRenderer:
    return ZImageRenderer(DEMO, device="cpu", threads=1)


def spec(prompt: str = "a red rose", *, seed: int = 7, width: int = 64, height: int = 64, steps: int = 8) -> RenderSpec:
    return RenderSpec(prompt, seed, width, height, width, height, steps=steps)


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and one.tobytes() == other.tobytes()
