from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
import torch
from PIL import Image

from studio import imaging
from studio.domain.engine import EngineOptions
from studio.domain.errors import ModelUnusable, RenderCancelled, RenderError
from studio.domain.modelcard import ModelCard
from studio.domain.spec import SAMPLERS, RenderSpec, Step
from studio.render.zimage import ZImageRenderer
from tests.render.conftest import CPU, demo_spec, files, ignore, same, spec


def test_the_same_spec_gives_the_same_bytes(tiny_renderer: ZImageRenderer) -> None:
    first = tiny_renderer.render(spec(), ignore).image
    assert first.mode == "RGB" and first.size == (64, 64)
    assert same(first, tiny_renderer.render(spec(), ignore).image)
    assert not same(first, tiny_renderer.render(spec(seed=8), ignore).image)


def test_a_fresh_engine_gives_the_same_bytes(tiny_folder: Path, tiny_renderer: ZImageRenderer) -> None:
    other = ZImageRenderer(files(tiny_folder), CPU)
    other.warm_up()
    assert same(tiny_renderer.render(spec(), ignore).image, other.render(spec(), ignore).image)


def test_eight_steps_are_eight_calls_with_previews_and_times(tiny_renderer: ZImageRenderer) -> None:
    steps: list[Step] = []
    rendered = tiny_renderer.render(spec(width=160, height=96), steps.append)
    assert [(s.index, s.total) for s in steps] == [(i, 8) for i in range(1, 9)]
    for step in steps:
        assert len(step.preview) <= 2048
        with Image.open(BytesIO(step.preview)) as preview:
            assert preview.format == "WEBP" and preview.size == (64, 38)
    times = rendered.timings["steps"]
    assert isinstance(times, list) and len(times) == 8 and all(t > 0 for t in times)
    assert rendered.timings.keys() == {"text", "prepare", "steps", "decode"}


def test_cancelling_leaves_the_engine_usable(tiny_renderer: ZImageRenderer) -> None:
    expected = tiny_renderer.render(spec(), ignore).image

    def cancel(step: Step) -> None:
        if step.index == 3:
            raise RenderCancelled

    with pytest.raises(RenderCancelled):
        tiny_renderer.render(spec(seed=9), cancel)
    assert same(expected, tiny_renderer.render(spec(), ignore).image)


def test_the_prompt_cache_changes_nothing(tiny_renderer: ZImageRenderer) -> None:
    hit = tiny_renderer.render(spec(), ignore)
    tiny_renderer._prompts.clear()
    miss = tiny_renderer.render(spec(), ignore)
    assert same(hit.image, miss.image)


def test_the_prompt_cache_keeps_the_newest(tiny_renderer: ZImageRenderer) -> None:
    encoder = tiny_renderer._prompts
    for i in range(40):
        encoder.encode(f"p{i}")
    assert len(encoder._cache) == 32
    assert encoder.encode("p39") is encoder.encode("p39")


@pytest.mark.parametrize(("width", "height"), [(0, 64), (65, 64), (64, 8208), (-16, 64)])
def test_a_size_it_cannot_render_is_refused_before_the_model_runs(
    tiny_renderer: ZImageRenderer, monkeypatch: pytest.MonkeyPatch, width: int, height: int
) -> None:
    def ran(*args: object) -> None:
        raise AssertionError("the model ran")

    monkeypatch.setattr(tiny_renderer._prompts, "encode", ran)
    with pytest.raises(RenderError, match="can't be rendered"):
        tiny_renderer.render(spec(width=width, height=height), ignore)


@pytest.mark.parametrize("change", [{"sampler": "heun"}, {"steps": 0}, {"steps": 51}])
def test_settings_it_does_not_know_are_refused(tiny_renderer: ZImageRenderer, change: dict[str, Any]) -> None:
    with pytest.raises(RenderError, match="1 to 50 steps and one of the samplers euler, dpmpp_2m, unipc"):
        tiny_renderer.render(replace(spec(), **change), ignore)


def test_a_prompt_over_the_limit_is_counted_whole_and_reported(tiny_renderer: ZImageRenderer) -> None:
    short = tiny_renderer.render(spec("玫瑰", steps=1), ignore)
    assert not short.truncated and 0 < short.prompt_tokens < 64
    long = tiny_renderer.render(spec("玫瑰 " * 100, steps=1), ignore)
    assert long.truncated and long.prompt_tokens > 300


def test_the_largest_token_limit_stays_inside_the_rotary_table(tiny_folder: Path) -> None:
    renderer = ZImageRenderer(files(tiny_folder, max_tokens=1504), CPU)
    rendered = renderer.render(spec("x y " * 1000, steps=1), ignore)
    assert rendered.truncated and rendered.image.size == (64, 64)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_out_of_memory_is_tried_once_more(
    tiny_renderer: ZImageRenderer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    expected = tiny_renderer.render(spec(), ignore).image
    decode, calls = tiny_renderer._decoder._vae.decode, []

    def short_of_memory(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 1 or stays_short:
            raise error
        return decode(*args, **kwargs)

    monkeypatch.setattr(tiny_renderer._decoder._vae, "decode", short_of_memory)
    stays_short = False
    assert same(expected, tiny_renderer.render(spec(), ignore).image) and len(calls) == 2
    stays_short = True
    with pytest.raises(RenderError, match="not enough memory"):
        tiny_renderer.render(spec(), ignore)
    assert len(calls) == 4
    monkeypatch.undo()
    assert same(expected, tiny_renderer.render(spec(), ignore).image)


def test_other_runtime_errors_keep_their_traceback(
    tiny_renderer: ZImageRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(tiny_renderer._decoder._vae, "decode", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        tiny_renderer.render(spec(), ignore)


def test_two_threads_render_one_after_the_other(tiny_renderer: ZImageRenderer) -> None:
    expected = tiny_renderer.render(spec(), ignore).image
    found: list[Image.Image] = []
    threads = [Thread(target=lambda: found.append(tiny_renderer.render(spec(), ignore).image)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and all(same(expected, image) for image in found)


@pytest.mark.parametrize(("width", "height"), [(300, 250), (728, 90), (160, 600), (501, 333)])
def test_odd_formats_come_out_at_their_exact_pixels(tiny_renderer: ZImageRenderer, width: int, height: int) -> None:
    render_width, render_height = ModelCard("Tiny", max_pixels=256 * 256).render_size(width, height)
    one = RenderSpec("a rose", 1, width, height, render_width, render_height, steps=1)
    image = tiny_renderer.render(one, ignore).image
    assert image.size == (render_width, render_height)
    assert imaging.fit(image, width, height).size == (width, height)


def test_a_cpu_has_no_gpu_memory(tiny_renderer: ZImageRenderer) -> None:
    assert tiny_renderer.gpu_memory() is None


def test_provenance_names_everything_that_decides_the_picture(tiny_renderer: ZImageRenderer) -> None:
    found = tiny_renderer.provenance
    assert found["model"] == "Tiny" and found["checksum"] == "abc" and found["precision"] == "fp32"
    named = ("device", "threads", "attention", "compiled", "torch", "diffusers", "transformers")
    assert all(found[name] for name in named)


def test_the_demo_model_draws_what_it_is_asked(demo_renderer: ZImageRenderer) -> None:
    demo_renderer.warm_up()
    previews: list[Step] = []
    image = demo_renderer.render(demo_spec(), previews.append).image
    red, _green, blue = image.resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]  # RGB gives a tuple
    assert blue > red + 30
    assert all(high - low > 80 for low, high in image.getextrema())  # type: ignore[misc]
    with Image.open(BytesIO(previews[-1].preview)) as preview:
        wanted, got = (i.resize((8, 8), Image.Resampling.BOX).tobytes() for i in (image, preview.convert("RGB")))
    assert sum(abs(a - b) for a, b in zip(wanted, got, strict=True)) / len(wanted) < 16


def test_a_missing_tensor_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_folder, tmp_path / "m"))
    file = folder / "text_encoder" / "model.safetensors"
    tensors = load_file(file)
    del tensors["layers.0.mlp.up_proj.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ModelUnusable, match=r"text_encoder lacks the tensor layers\.0\.mlp\.up_proj\.weight"):
        ZImageRenderer(files(folder), CPU)


def test_weights_that_are_only_pickled_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "m"))
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ModelUnusable, match="holds no safetensors file"):
        ZImageRenderer(files(folder), CPU)


@pytest.mark.parametrize("device", ["cuda", "abacus"])
def test_a_device_that_is_not_there_is_named(tiny_folder: Path, device: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ModelUnusable, match=device):
        ZImageRenderer(files(tiny_folder), EngineOptions(device=device))


def test_the_engine_holds_no_django() -> None:
    code = "import sys, studio.render.zimage; sys.exit('django' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, env=dict(os.environ), check=False).returncode == 0


@pytest.mark.slow
def test_a_thousand_renders_take_no_more_memory_than_a_hundred(tiny_folder: Path) -> None:
    """Every size, sampler and prompt is another; what the engine keeps of them is bounded."""
    renderer = ZImageRenderer(files(tiny_folder), CPU)
    measured: list[int] = []
    for number in range(1000):
        side = 64 + 16 * (number % 7)
        renderer.render(replace(
            spec(f"a red rose {number}", seed=number, width=side, height=64 + 16 * (number % 5), steps=1 + number % 2),
            sampler=SAMPLERS[number % 3]), ignore)
        if number % 100 == 99:
            gc.collect()
            measured.append(psutil.Process().memory_info().rss // 2**20)
    assert max(measured[2:]) - measured[1] < 12, measured
