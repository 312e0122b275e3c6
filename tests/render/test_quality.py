from __future__ import annotations

import gc
import sys
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from diffusers import ZImagePipeline
from PIL import Image

from benchmarks._render_engine import Ours
from studio.domain.engine import EngineOptions, ModelFiles
from studio.domain.modelcard import ModelCard
from studio.domain.spec import OnStep, Rendered, RenderSpec
from studio.render import quality
from tests.render.conftest import DEMO, DEMO_CARD, SQUARE


def picture(seed: int = 0, side: int = 64) -> Image.Image:
    """Smooth, as pictures are."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)


def noisy(image: Image.Image, amount: float) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float64)
    noise = np.random.default_rng(1).normal(0, amount, pixels.shape)
    return Image.fromarray((pixels + noise).clip(0, 255).astype(np.uint8))


def test_equal_pictures_pass_with_full_marks() -> None:
    found = quality.compare([picture(0), picture(1)], [picture(0), picture(1)])
    assert found.passed and found.psnr == quality.EQUAL and found.ssim == pytest.approx(1.0)
    assert [row.label for row in found.rows] == ["1", "2"] and found.text.startswith("passed: SSIM 1.000")


def test_the_numbers_are_those_of_the_definitions() -> None:
    flat = Image.new("RGB", (32, 32), (100, 100, 100))
    brighter = Image.new("RGB", (32, 32), (110, 110, 110))
    assert quality.compare([flat], [brighter]).psnr == pytest.approx(20 * np.log10(255 / 10))


def test_noise_and_other_pictures_fail() -> None:
    ones, others = [picture(i) for i in range(3)], [picture(i + 9) for i in range(3)]
    assert quality.compare(ones, [noisy(one, 2) for one in ones]).passed
    assert not quality.compare(ones, [noisy(one, 120) for one in ones]).passed
    assert not quality.compare(ones, others).passed


def test_one_bad_picture_is_enough_to_fail() -> None:
    ones = [picture(i) for i in range(8)]
    found = quality.compare(ones, [*ones[:-1], picture(99)], [str(i) for i in range(8)])
    assert found.psnr > quality.MEAN_PSNR and not found.passed and "worst “7”" in found.text


@pytest.mark.parametrize("pictures", [[], [picture(), picture()], [picture(side=32)]])
def test_what_can_not_be_compared_is_refused(pictures: list[Image.Image]) -> None:
    with pytest.raises(ValueError, match=r"sizes|as many"):
        quality.compare([picture()], pictures)


def test_the_sheet_shows_each_pair_in_a_row() -> None:
    pairs = [(Image.new("RGB", (800, 400), "red"), Image.new("RGB", (800, 400), "blue")), (picture(), picture(1))]
    sheet = quality.sheet(pairs, ["first", "second"])
    assert sheet.getpixel((100, 100)) == (255, 0, 0) and sheet.getpixel((sheet.width - 100, 100)) == (0, 0, 255)
    assert sheet.width < 2 * 400 + 50 and sheet.height > 192 + 64


def test_the_samples_are_in_both_languages_and_hold_text() -> None:
    prompts = [sample.prompt for sample in quality.SAMPLES]
    assert any(prompt.isascii() for prompt in prompts) and any("大字写着" in prompt for prompt in prompts)
    assert len({sample.seed for sample in quality.SAMPLES}) == len(prompts)
    assert all(sample.label.isascii() for sample in quality.SAMPLES)  # the sheet's font has no others


class Mini:
    """The demo model in one precision, without what is around a render."""

    provenance: dict[str, str]

    def __init__(self, precision: str) -> None:
        pipe = ZImagePipeline.from_pretrained(DEMO, local_files_only=True)
        pipe.set_progress_bar_config(disable=True)
        self._engine = Ours(pipe, Path())
        self._engine.pull(precision)

    def render(self, spec: RenderSpec, on_step: OnStep) -> Rendered:
        self._engine.prompt = spec.prompt
        image = self._engine.render(spec.seed, spec.render_width, spec.render_height, lambda stage: None)
        return Rendered(image, {}, 0, False)


@pytest.mark.slow
def test_quantised_pictures_of_the_demo_model_are_close_and_other_seeds_are_not() -> None:
    made: list[Any] = []

    def make(precision: str) -> Mini:
        gc.collect()
        assert all(one() is None for one in made), "two models at a time"
        renderer = Mini(precision)
        made.append(weakref.ref(renderer))
        return renderer

    samples = quality.SAMPLES[:2]
    found, sheet = quality.measure(make, "fp32", "int8wo", DEMO_CARD, samples)
    assert found.passed, found.text
    assert [row.label for row in found.rows] == [sample.label for sample in samples] and sheet.mode == "RGB"
    exact = Mini("fp32")
    ones, others = ([exact.render(RenderSpec(samples[0].prompt, seed, *SQUARE, *SQUARE), print).image]
                    for seed in (1, 2))
    assert not quality.compare(ones, others).passed


def test_run_loads_the_exact_model_and_then_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Fake:
        provenance: dict[str, str]

        def __init__(self, files: ModelFiles, options: EngineOptions) -> None:
            asked.append(options.precision)

        def render(self, spec: RenderSpec, on_step: OnStep) -> Rendered:
            assert (spec.render_width, spec.steps, spec.guidance) == (512, 4, 2.0)
            return Rendered(picture(spec.seed), {}, 0, False)

    module: Any = ModuleType("studio.render.zimage")
    module.ZImageRenderer = Fake
    monkeypatch.setitem(sys.modules, "studio.render.zimage", module)
    card = ModelCard("base", sizes=((512, 512),), steps=4, guidance=2.0, family="base")
    found, _sheet = quality.run(ModelFiles(card), EngineOptions(device="cpu", default_precision="fp8"), "int8")
    assert found.passed and asked == ["fp32", "int8"]
    assert quality.exact_precision("cpu") == "fp32"
