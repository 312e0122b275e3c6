"""The samplers: each keeps its order on a flow that can be solved by hand, and leaves the engine as it was."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from PIL import Image, ImageChops, ImageStat

from studio.domain.errors import RenderCancelled
from studio.domain.spec import SAMPLERS, Step
from studio.render import samplers
from studio.render.preview import predicted
from studio.render.zimage import ZImageRenderer
from tests.render.conftest import demo_spec, ignore, same, spec

SOLVERS = [name for name in SAMPLERS if name != "euler"]
MEAN = 0.5


def gaussian_error(name: str, steps: int) -> float:
    """How far `steps` steps end from the exact end of the flow between N(0, 1) and N(MEAN, 1)."""
    flow = FlowMatchEulerDiscreteScheduler(shift=3.0)
    sampler = samplers.make(name, flow)
    sampler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist(), device="cpu", mu=1.0)
    noise = torch.linspace(-2, 2, 9, dtype=torch.float64).view(1, 1, 9, 1)
    x = noise
    for time in sampler.timesteps:
        sigma = time.double() / 1000
        variance = (1 - sigma) ** 2 + sigma**2
        velocity = (x - MEAN - (1 - sigma) / variance * (x - (1 - sigma) * MEAN)) / sigma
        x = sampler.step(velocity, time, x, return_dict=False)[0].double()
    return float((x - MEAN - noise).abs().max())


def test_at_eight_steps_the_solvers_are_nearer_than_euler() -> None:
    euler = gaussian_error("euler", 8)
    assert 0.40 < euler < 0.42
    assert gaussian_error("dpmpp_2m", 8) < euler / 2
    assert gaussian_error("unipc", 8) < euler / 2.5


def test_twice_the_steps_quarter_the_solvers_error_and_halve_eulers() -> None:
    ratios = {name: gaussian_error(name, 128) / gaussian_error(name, 256) for name in SAMPLERS}
    assert 1.9 < ratios["euler"] < 2.1 and all(3.2 < ratios[name] < 4.5 for name in SOLVERS), ratios


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 2, 8, 50])
def test_every_sampler_tells_the_model_the_checkpoints_times(name: str, steps: int) -> None:
    flow = FlowMatchEulerDiscreteScheduler(shift=3.0)
    sigmas = torch.linspace(1, 1 / steps, steps).tolist()
    sampler = samplers.make(name, flow)
    sampler.set_timesteps(sigmas=sigmas, device="cpu", mu=1.0)
    wanted = [3000 * sigma / (1 + 2 * sigma) for sigma in sigmas]
    assert sampler.timesteps.dtype == torch.float32
    assert sampler.timesteps.tolist() == pytest.approx(wanted, rel=1e-6)
    assert len(sampler.sigmas) == steps + 1 and sampler.sigmas[-1] == 0


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(ValueError, match="heun"):
        samplers.make("heun", FlowMatchEulerDiscreteScheduler())


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("steps", [1, 4, 8, 20])
def test_so_many_steps_are_so_many_calls(tiny_renderer: ZImageRenderer, name: str, steps: int) -> None:
    seen: list[Step] = []
    one = replace(spec(steps=steps), sampler=name)
    rendered = tiny_renderer.render(one, seen.append)
    assert [(s.index, s.total) for s in seen] == [(i, steps) for i in range(1, steps + 1)]
    assert len(rendered.timings["steps"]) == steps  # type: ignore[arg-type]  # a list under this key
    assert any(high > low for low, high in rendered.image.getextrema())  # type: ignore[misc]  # RGB gives pairs
    assert same(rendered.image, tiny_renderer.render(one, ignore).image)


def test_samplers_draw_differently_and_leave_euler_as_it_was(tiny_renderer: ZImageRenderer) -> None:
    first = tiny_renderer.render(spec(), ignore).image
    pictures = {name: tiny_renderer.render(replace(spec(), sampler=name), ignore).image for name in SAMPLERS}
    assert len({picture.tobytes() for picture in pictures.values()}) == len(SAMPLERS)
    assert same(pictures["euler"], first) and same(first, tiny_renderer.render(spec(), ignore).image)


def test_in_one_step_all_samplers_draw_the_same(tiny_renderer: ZImageRenderer) -> None:
    pictures = [tiny_renderer.render(replace(spec(steps=1), sampler=name), ignore).image for name in SAMPLERS]
    assert all(_distance(pictures[0], other) < 1 for other in pictures[1:])


@pytest.mark.parametrize("name", SOLVERS)
def test_a_cancelled_render_leaves_nothing_to_the_next(tiny_renderer: ZImageRenderer, name: str) -> None:
    """A multistep solver remembers earlier steps: each picture takes a new one."""
    expected = tiny_renderer.render(replace(spec(), sampler=name), ignore).image

    def cancel(step: Step) -> None:
        if step.index == 3:
            raise RenderCancelled

    with pytest.raises(RenderCancelled):
        tiny_renderer.render(replace(spec(seed=5), sampler=name), cancel)
    assert same(expected, tiny_renderer.render(replace(spec(), sampler=name), ignore).image)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_preview_shows_what_the_model_predicts(
    tiny_renderer: ZImageRenderer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The solver itself keeps that prediction: of the latents before the step."""
    shown: list[torch.Tensor] = []
    kept: list[torch.Tensor] = []
    made: list[Any] = []

    def remember(name: str, flow: FlowMatchEulerDiscreteScheduler) -> Any:
        made.append(make(name, flow))
        return made[-1]

    make = samplers.make

    def show(*args: Any) -> torch.Tensor:
        shown.append(predicted(*args))
        return shown[-1]

    def keep(step: Step) -> None:
        kept.append(made[-1].model_outputs[-1].clone())

    monkeypatch.setattr(samplers, "make", remember)
    monkeypatch.setattr("studio.render.denoise.predicted", show)
    tiny_renderer.render(replace(spec(), sampler=name), keep)
    assert len(shown) == 8
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(shown, kept, strict=True))


@pytest.mark.parametrize("name", SAMPLERS)
def test_previews_approach_the_picture(demo_renderer: ZImageRenderer, name: str) -> None:
    previews: list[Image.Image] = []

    def look(step: Step) -> None:
        with Image.open(BytesIO(step.preview)) as preview:
            previews.append(preview.convert("RGB"))

    picture = demo_renderer.render(replace(demo_spec(), sampler=name), look).image
    distances = [_distance(preview, picture.resize(preview.size, Image.Resampling.BOX)) for preview in previews]
    assert distances[-1] < distances[3] < distances[0] and distances[-1] < 16
    assert all(later < earlier + 1 for earlier, later in pairwise(distances)), distances


def _distance(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of the pixels' values, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3
