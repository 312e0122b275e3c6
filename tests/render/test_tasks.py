"""Pictures that start from pictures, are repainted in part, or are led by guidance: against diffusers' pipelines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ZImagePipeline
from PIL import Image, ImageDraw, ImageFilter

from studio.domain.errors import RenderCancelled, RenderError
from studio.domain.spec import SAMPLERS, RenderSpec, Step, run_steps
from studio.render.zimage import ZImageRenderer, paste_kept
from tests.render.conftest import demo_spec, ignore, same, spec, stock

SIDE = 64


@pytest.fixture(scope="module")
def pipe(tiny_folder: Path) -> Iterator[ZImagePipeline]:
    yield stock(tiny_folder)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    """Soft colours, always the same."""
    noise = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def mask() -> Image.Image:
    """White in the middle, with grey values at its edge."""
    found = Image.new("L", (SIDE, SIDE))
    ImageDraw.Draw(found).ellipse((16, 16, 47, 47), fill=255)
    return found.filter(ImageFilter.GaussianBlur(1))


def from_picture(picture: Image.Image, *, mask: Image.Image | None = None, strength: float = 0.6,
                 **changes: Any) -> RenderSpec:
    return replace(spec(), image=picture, mask=mask, strength=strength, **changes)


def distance(one: Image.Image, other: Image.Image) -> float:
    """The largest difference of any value, 0 to 255."""
    a, b = (np.asarray(image, dtype=np.int16) for image in (one, other))
    return float(np.abs(a - b).max())


def mean_distance(one: Image.Image, other: Image.Image) -> float:
    a, b = (np.asarray(image, dtype=np.int16) for image in (one, other))
    return float(np.abs(a - b).mean())


def test_words_alone_draw_what_diffusers_draws(tiny_renderer: ZImageRenderer, pipe: ZImagePipeline) -> None:
    for width, height in ((64, 64), (160, 96), (48, 208)):
        wanted = pipe(
            prompt="a red rose", width=width, height=height, num_inference_steps=8, guidance_scale=0.0,
            max_sequence_length=64, generator=torch.Generator("cpu").manual_seed(7)).images[0]
        got = tiny_renderer.render(spec(width=width, height=height), ignore).image
        assert distance(got, wanted) <= 1


def test_guidance_draws_what_diffusers_draws(base_renderer: ZImageRenderer, pipe: ZImagePipeline) -> None:
    """The captions differ by more than 32 tokens: diffusers needs a mask for that, the engine does not."""
    negative = "blurry, low quality, watermark, text, logo, extra fingers, deformed " * 2
    wanted = pipe(
        prompt="a red rose", negative_prompt=negative, width=64, height=64, num_inference_steps=8, guidance_scale=4.0,
        max_sequence_length=64, generator=torch.Generator("cpu").manual_seed(7)).images[0]
    got = base_renderer.render(replace(spec(), guidance=4.0, negative=negative), ignore).image
    assert distance(got, wanted) <= 2
    assert not same(got, base_renderer.render(spec(), ignore).image)


def test_a_negative_prompt_without_guidance_has_no_effect(base_renderer: ZImageRenderer) -> None:
    plain = base_renderer.render(spec(), ignore).image
    assert same(plain, base_renderer.render(replace(spec(), negative="blurry"), ignore).image)


def test_turbo_refuses_guidance(tiny_renderer: ZImageRenderer) -> None:
    with pytest.raises(RenderError, match="made to render without guidance"):
        tiny_renderer.render(replace(spec(), guidance=4.0), ignore)


@pytest.mark.parametrize(("strength", "steps"), [(0.1, 1), (0.3, 3), (0.5, 4), (0.6, 5), (0.8, 7), (0.9, 8), (1.0, 8)])
def test_strength_decides_how_many_of_eight_steps_run(
    tiny_renderer: ZImageRenderer, picture: Image.Image, strength: float, steps: int
) -> None:
    seen: list[Step] = []
    one = from_picture(picture, strength=strength)
    tiny_renderer.render(one, seen.append)
    assert one.run_steps == run_steps(8, strength) == steps
    assert [(step.index, step.total) for step in seen] == [(i, steps) for i in range(1, steps + 1)]


def test_the_less_strength_the_more_stays(demo_renderer: ZImageRenderer) -> None:
    start = demo_renderer.render(demo_spec("a red rose"), ignore).image
    far = [mean_distance(start, demo_renderer.render(
        replace(demo_spec(seed=3), image=start, strength=strength), ignore).image)
        for strength in (0.1, 0.5, 1.0)]
    assert far[0] < far[1] < far[2]
    assert far[0] < far[2] / 2


def test_at_full_strength_nothing_of_the_picture_is_left(tiny_renderer: ZImageRenderer, picture: Image.Image) -> None:
    drawn = tiny_renderer.render(from_picture(picture, strength=1.0), ignore).image
    assert distance(drawn, tiny_renderer.render(spec(), ignore).image) <= 1


def test_repainting_keeps_every_pixel_outside_of_the_mask(
    tiny_renderer: ZImageRenderer, picture: Image.Image, mask: Image.Image
) -> None:
    drawn = tiny_renderer.render(from_picture(picture, mask=mask, strength=1.0), ignore).image
    before, after, painted = np.asarray(picture), np.asarray(drawn), np.asarray(mask) >= 128
    assert (before[~painted] == after[~painted]).all()
    assert (before[painted] != after[painted]).any(axis=1).mean() > 0.9


def test_pasting_needs_no_soft_edge(picture: Image.Image, mask: Image.Image) -> None:
    """Pillow blends at grey mask values: the naive paste changes pixels that should be kept."""
    other = Image.new("RGB", picture.size)
    kept = np.asarray(mask) < 128
    naive = np.asarray(Image.composite(other, picture, mask))
    ours = np.asarray(paste_kept(picture, other, mask))
    assert (naive[kept] != np.asarray(picture)[kept]).any()
    assert (ours[kept] == np.asarray(picture)[kept]).all()


def test_a_mask_of_nothing_gives_the_picture_back(tiny_renderer: ZImageRenderer, picture: Image.Image) -> None:
    black = Image.new("L", picture.size)
    assert same(picture, tiny_renderer.render(from_picture(picture, mask=black), ignore).image)


@pytest.mark.parametrize(("sampler", "steps"), list(product(SAMPLERS, (1, 2, 8))))
@pytest.mark.parametrize("masked", [False, True])
def test_every_sampler_runs_every_task(
    tiny_renderer: ZImageRenderer, picture: Image.Image, mask: Image.Image, sampler: str, steps: int, masked: bool
) -> None:
    one = from_picture(picture, mask=mask if masked else None, sampler=sampler, steps=steps)
    drawn = tiny_renderer.render(one, ignore).image
    assert same(drawn, tiny_renderer.render(one, ignore).image)
    assert not same(drawn, picture) and not same(drawn, tiny_renderer.render(replace(one, seed=8), ignore).image)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("at", range(1, 6))
def test_cancelling_at_any_step_leaves_the_engine_usable(
    tiny_renderer: ZImageRenderer, picture: Image.Image, mask: Image.Image, sampler: str, at: int
) -> None:
    expected = tiny_renderer.render(spec(), ignore).image
    seen: list[int] = []

    def cancel(step: Step) -> None:
        seen.append(step.index)
        if step.index == at:
            raise RenderCancelled

    with pytest.raises(RenderCancelled):
        tiny_renderer.render(from_picture(picture, mask=mask, sampler=sampler), cancel)
    assert seen == list(range(1, at + 1))
    assert same(expected, tiny_renderer.render(spec(), ignore).image)


@pytest.mark.parametrize(("change", "message"), [
    ({"image": Image.new("RGB", (32, 64))}, "32 × 64 px was given"),
    ({"image": Image.new("RGB", (64, 64)), "mask": Image.new("L", (64, 48))}, "64 × 48 px was given"),
    ({"mask": Image.new("L", (64, 64))}, "needs the picture"),
    ({"image": Image.new("RGB", (64, 64)), "strength": 0.0}, "strength"),
    ({"image": Image.new("RGB", (64, 64)), "strength": 1.5}, "strength"),
    ({"image": Image.new("RGB", (64, 64)), "strength": float("nan")}, "strength"),
    ({"guidance": float("nan")}, "guidance"),
])
def test_what_does_not_fit_together_is_refused(
    tiny_renderer: ZImageRenderer, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(RenderError, match=message):
        tiny_renderer.render(replace(spec(), **change), ignore)
