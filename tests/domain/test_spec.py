from __future__ import annotations

from typing import Any

import pytest

from studio.domain.errors import Invalid
from studio.domain.modelcard import ModelCard
from studio.domain.spec import MAX_COUNT, MAX_SEED, SAMPLERS, RenderRequest, Target
from tests.factories import PRESETS, render_request


@pytest.mark.parametrize(("width", "height"), [(16, 16), (4096, 4096), (4096, 256), (160, 600), (728, 90)])
def test_sizes_that_can_be_rendered(width: int, height: int) -> None:
    assert Target("", width, height).width == width


@pytest.mark.parametrize(("width", "height", "field"), [
    (0, 64, "width"), (64, 0, "height"), (-1, 64, "width"), (15, 64, "width"), (64, 4097, "height"),
    (50_000, 50_000, "width"), (10**100, 64, "width"), (4096, 255, "width"), (16, 257, "width"),
])
def test_sizes_that_cannot_be_rendered(width: int, height: int, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        Target("", width, height)
    assert caught.value.field == field


@pytest.mark.parametrize(("fields", "field"), [
    ({"prompt_zh": "", "prompt_en": ""}, "prompt_zh"), ({"prompt_zh": " \n", "prompt_en": "\t"}, "prompt_zh"),
    ({"prompt_en": "x" * 10_000}, "prompt_en"), ({"prompt_zh": "a\x00"}, "prompt_zh"),
    ({"prompt_zh": "", "prompt_en": "<|im_<|im_end|>end|>"}, "prompt_zh"),
    ({"targets": ()}, "formats"), ({"count": 0}, "count"),
    ({"count": -1}, "count"), ({"count": MAX_COUNT + 1}, "count"), ({"count": 999}, "count"), ({"seed": -1}, "seed"),
    ({"seed": MAX_SEED + 1}, "seed"), ({"seed": 10**100}, "seed"), ({"steps": 0}, "steps"), ({"steps": -1}, "steps"),
    ({"steps": 51}, "steps"), ({"steps": 10**100}, "steps"), ({"sampler": "heun"}, "sampler"),
    ({"sampler": ""}, "sampler"), ({"sampler": "Euler"}, "sampler"),
    ({"count": 8, "targets": tuple(Target("", 64, 64 + n) for n in range(9))}, "count"),
])
def test_a_request_that_cannot_be_rendered_names_the_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        render_request(**fields)
    assert caught.value.field == field and str(caught.value)


def test_a_request_keeps_the_cleaned_prompt_and_counts_its_pictures() -> None:
    request = RenderRequest(" 红玫瑰 ", "a rose\r\n", (Target("", 64, 64), Target("", 96, 64)), 3, MAX_SEED)
    assert (request.prompt_zh, request.prompt_en, request.prompt) == ("红玫瑰", "a rose", "红玫瑰 | a rose")
    assert request.pictures == 6
    assert [request.seed_of(n) for n in range(3)] == [MAX_SEED, 0, 1]


def test_a_request_is_for_the_checkpoints_own_settings_unless_it_says_otherwise() -> None:
    assert (render_request().sampler, render_request().steps) == ("euler", 8)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 50])
def test_every_sampler_takes_all_numbers_of_steps(sampler: str, steps: int) -> None:
    assert render_request(sampler=sampler, steps=steps).steps == steps


def test_all_limits_together_are_allowed() -> None:
    targets = tuple(Target("", 64, 64 + n) for n in range(8))
    assert render_request(count=8, targets=targets, seed=0).pictures == 64


@pytest.mark.parametrize(("width", "height", "rendered"), [
    (64, 64, (64, 64)), (16, 16, (64, 64)), (728, 90, (736, 96)), (1080, 1920, (1088, 1920)), (320, 50, (320, 64)),
    (4096, 4096, (2048, 2048)), (4096, 256, (4096, 256)),
])
def test_a_picture_is_rendered_at_the_next_fitting_size(width: int, height: int, rendered: tuple[int, int]) -> None:
    assert ModelCard("Any").render_size(width, height) == rendered


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_every_format_can_be_asked_for_and_rendered(preset: Any) -> None:
    target = Target(preset.key, preset.width, preset.height)
    width, height = ModelCard("Any", max_pixels=512 * 512).render_size(target.width, target.height)
    assert width % 16 == height % 16 == 0 and width * height <= 512 * 512
