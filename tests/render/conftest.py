"""Models that the render tests share; each is built or loaded once a session."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import ZImagePipeline
from PIL import Image

from studio import checkpoint
from studio.domain.engine import EngineOptions, ModelFiles
from studio.domain.modelcard import ModelCard
from studio.domain.spec import RenderSpec, Step
from studio.render.zimage import ZImageRenderer
from tests import tiny

DEMO = Path(__file__).parents[2] / "models" / "z-image-demo"
DEMO_CARD = checkpoint.read_card(DEMO)
#: The size at which the demo model renders a square: tests know nothing else of it that its next one may not have.
SQUARE = DEMO_CARD.render_size(512, 512)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("model") / "tiny")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder runs the pipeline: once, not for each database."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.render)


CPU = EngineOptions(device="cpu", threads=1)


def files(folder: Path, *, name: str = "Tiny", max_tokens: int = 64, family: str = "turbo") -> ModelFiles:
    return ModelFiles(ModelCard(name, max_tokens=max_tokens, family=family), "abc", folder)


@pytest.fixture(scope="session")
def tiny_renderer(tiny_folder: Path) -> ZImageRenderer:
    return ZImageRenderer(files(tiny_folder), CPU)


@pytest.fixture(scope="session")
def base_renderer(tiny_folder: Path) -> ZImageRenderer:
    """The same weights taken for a Z-Image base, which renders with guidance."""
    return ZImageRenderer(files(tiny_folder, name="Base", family="base"), CPU)


@pytest.fixture(scope="session")
def demo_renderer() -> ZImageRenderer:
    return ZImageRenderer(ModelFiles(DEMO_CARD, "abc", DEMO), CPU)


def stock(folder: Path, dtype: torch.dtype = torch.float32) -> ZImagePipeline:
    """diffusers' own pipeline, which the engine is measured against."""
    pipe: ZImagePipeline = ZImagePipeline.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def ignore(step: Step) -> None:
    """Listens to nothing."""


def spec(prompt: str = "a red rose", *, seed: int = 7, width: int = 64, height: int = 64, steps: int = 8) -> RenderSpec:
    return RenderSpec(prompt, seed, width, height, width, height, steps=steps)


def demo_spec(prompt: str = "蓝色背景上的熊猫", *, seed: int = 7) -> RenderSpec:
    """What the demo model draws well, at a size that it was trained for."""
    return spec(prompt, seed=seed, width=SQUARE[0], height=SQUARE[1], steps=DEMO_CARD.steps)


def same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and one.tobytes() == other.tobytes()
