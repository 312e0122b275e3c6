"""What only a GPU can show, with the demo model: `pytest --noconftest tests/gpu/check_cuda.py` on a machine with one.

The name keeps it out of `make test`, which must pass on any machine. Needs the render packages and pytest, no Django.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from studio import checkpoint
from studio.domain.engine import EngineOptions, ModelFiles
from studio.domain.errors import RenderCancelled, RenderError
from studio.domain.spec import RenderSpec, Step
from studio.render import quality
from studio.render.zimage import ZImageRenderer

DEMO = Path(__file__).parents[2] / "models" / "z-image-demo"
CARD = checkpoint.read_card(DEMO)
FILES = ModelFiles(CARD, "abc", DEMO)
PROMPTS = (
    "a red rose on a soft pink gradient background", "金色圆台上的口红，产品摄影", "a camera on a blue background")


@pytest.fixture(scope="module")
def cpu() -> ZImageRenderer:
    return ZImageRenderer(FILES, EngineOptions(device="cpu", threads=8))


@pytest.fixture(scope="module")
def gpu() -> ZImageRenderer:
    # Compiling takes a minute and is what benchmarks/render.py does at full size.
    found = ZImageRenderer(FILES, EngineOptions(
        device="cuda", precision="bf16", levers_off=frozenset({"compile", "vae"})))
    found.warm_up()
    return found


def spec(prompt: str = PROMPTS[0], seed: int = 1, width: int = 512, height: int = 512) -> RenderSpec:
    render_width, render_height = CARD.render_size(width, height)
    return RenderSpec(prompt, seed, width, height, render_width, render_height)


def ignore(step: Step) -> None:
    pass


def pictures(made: ZImageRenderer, asked: list[RenderSpec]) -> list[Image.Image]:
    return [made.render(one, ignore).image for one in asked]


def test_pictures_are_those_of_the_cpu(cpu: ZImageRenderer, gpu: ZImageRenderer) -> None:
    asked = [spec(prompt, seed, *size) for seed, (prompt, size) in enumerate(
        zip(PROMPTS, ((512, 512), (512, 896), (896, 512)), strict=True))]
    found = quality.compare(pictures(cpu, asked), pictures(gpu, asked))
    assert found.ssim > 0.8, found.text  # fp32 against bf16: the same picture, not the same bytes


def test_steps_and_text_are_replayed_as_graphs(gpu: ZImageRenderer) -> None:
    for number in range(3):  # of one length, and none of them cached
        gpu.render(spec(f"a red rose {number}"), ignore)
    assert "as a graph" in gpu.levers["graphs"].reason
    assert "no graphs" not in gpu.levers["real_tokens"].reason


def test_the_same_bytes_each_time(gpu: ZImageRenderer) -> None:
    first, *others = (gpu.render(spec(seed=7), ignore).image.tobytes() for _ in range(4))
    assert all(other == first for other in others)


def test_progress_and_previews(gpu: ZImageRenderer) -> None:
    seen: list[Step] = []
    gpu.render(spec(), seen.append)
    assert [step.index for step in seen] == list(range(1, 9))
    assert all(step.preview for step in seen[:-1])


def test_cancel_leaves_it_usable(gpu: ZImageRenderer) -> None:
    wanted = gpu.render(spec(seed=3), ignore).image.tobytes()

    def stop(step: Step) -> None:
        if step.index == 3:
            raise RenderCancelled

    with pytest.raises(RenderCancelled):
        gpu.render(spec(seed=4), stop)
    assert gpu.render(spec(seed=3), ignore).image.tobytes() == wanted


def test_from_a_picture_and_within_a_mask(gpu: ZImageRenderer) -> None:
    plain = spec(seed=2)
    start = gpu.render(plain, ignore).image
    mask = Image.new("L", start.size, 0)
    ImageDraw.Draw(mask).rectangle((0, 0, start.width // 2, start.height), fill=255)
    close = gpu.render(replace(plain, prompt=PROMPTS[2], image=start, strength=0.3), ignore).image
    inside = gpu.render(replace(plain, prompt=PROMPTS[2], image=start, mask=mask, strength=0.9), ignore).image
    assert quality.compare([start], [close]).ssim > 0.5
    right = (start.width // 2 + 1, 0, start.width, start.height)
    assert inside.crop(right).tobytes() == start.crop(right).tobytes()
    assert inside.tobytes() != start.tobytes()


def test_samplers(gpu: ZImageRenderer) -> None:
    made = {name: gpu.render(replace(spec(), sampler=name), ignore).image.tobytes()
            for name in ("euler", "dpmpp_2m", "unipc")}
    assert len(set(made.values())) == 3


def test_too_large_is_refused_and_what_fits_still_renders(gpu: ZImageRenderer) -> None:
    free, _total = torch.cuda.mem_get_info()
    filled = torch.empty(max(0, free - 2 * 2**30 - 200 * 2**20), dtype=torch.uint8, device="cuda")
    try:
        with pytest.raises(RenderError):
            gpu.render(replace(spec(), render_width=4096, render_height=4096, width=4096, height=4096), ignore)
    finally:
        del filled
        torch.cuda.empty_cache()
    assert gpu.render(spec(), ignore).image.size


@pytest.mark.parametrize("precision", ["int8wo", "int8", "fp8"])
def test_quantised_pictures_show_the_same(cpu: ZImageRenderer, precision: str) -> None:
    try:
        made = ZImageRenderer(FILES, EngineOptions(device="cuda", precision=precision))
    except RenderError as error:
        pytest.fail(f"{precision}: {error}")
    asked = [spec(prompt, seed) for seed, prompt in enumerate(PROMPTS)]
    found = quality.compare(pictures(cpu, asked), pictures(made, asked))
    assert found.ssim > 0.7, found.text
