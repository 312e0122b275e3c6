"""The engine as it is put together: layouts, precisions, levers, memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from studio.domain.engine import LEVERS, EngineOptions, ModelFiles
from studio.domain.errors import ModelUnusable, RenderError
from studio.domain.spec import OnStep, RenderSpec
from studio.render import memory
from studio.render.zimage import ZImageRenderer
from tests import tiny_files
from tests.factories import TRAINED
from tests.render.conftest import CPU, files, ignore, same, spec


def psnr(one: Image.Image, other: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB."""
    difference = np.asarray(one, dtype=float) - np.asarray(other, dtype=float)
    return float(10 * np.log10(255**2 / max(1e-9, (difference**2).mean())))


def test_single_files_draw_what_their_folder_draws(tmp_path: Path) -> None:
    folder = tiny_files.model_folder(tmp_path / "folder")
    parts = tiny_files.single_files(folder, tmp_path / "files")
    multiple = ZImageRenderer(files(folder), CPU).multiple
    one = spec(width=4 * multiple, height=4 * multiple)
    assert same(ZImageRenderer(files(folder), CPU).render(one, ignore).image,
                ZImageRenderer(parts, CPU).render(one, ignore).image)


@pytest.mark.parametrize(("precision", "least"), [("bf16", 25.0), ("int8", 20.0), ("int8wo", 30.0)])
def test_other_precisions_draw_nearly_the_same(
    tiny_folder: Path, tiny_renderer: ZImageRenderer, precision: str, least: float
) -> None:
    renderer = ZImageRenderer(files(tiny_folder), replace(CPU, precision=precision))
    exact, drawn = (one.render(spec(), ignore).image for one in (tiny_renderer, renderer))
    assert least < psnr(exact, drawn) < 90 and renderer.provenance["precision"] == precision


def test_what_a_cpu_cannot_compute_is_refused_before_loading(tiny_folder: Path) -> None:
    with pytest.raises(ModelUnusable, match="in fp8") as refused:
        ZImageRenderer(files(tiny_folder), replace(CPU, precision="fp8"))
    assert "auto" in refused.value.hint


def test_what_is_prewarmed_is_the_size_at_which_a_format_is_rendered(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = replace(CPU, levers_off=frozenset({"compile"}), prewarm=((1080, 1440), (728, 90)))
    renderer = ZImageRenderer(ModelFiles(TRAINED, "abc", tiny_folder), options)
    sizes: list[tuple[int, int]] = []

    def note(spec: RenderSpec, on_step: OnStep) -> None:
        sizes.append((spec.render_width, spec.render_height))

    monkeypatch.setattr(renderer, "render", note)
    renderer.warm_up()
    assert sizes == [(64, 64), (448, 576), (1024, 128)]


def test_a_default_of_the_models_own_is_taken(tiny_folder: Path) -> None:
    renderer = ZImageRenderer(files(tiny_folder), replace(CPU, default_precision="int8wo"))
    assert renderer.provenance["precision"] == "int8wo"


def test_every_lever_says_what_became_of_it(tiny_folder: Path, tiny_renderer: ZImageRenderer) -> None:
    said = dict(tiny_renderer.levers)
    assert said.keys() == LEVERS.keys() and all(lever.reason != "not tried yet" for lever in said.values())
    assert tiny_renderer.report()["graphs"] == "not used: there are no CUDA graphs on a CPU"
    off = ZImageRenderer(files(tiny_folder), EngineOptions(device="cpu", threads=1, levers_off=frozenset(LEVERS)))
    assert not any(lever.used for _name, lever in off.levers)
    drawn, plain = (one.render(spec(), ignore).image for one in (tiny_renderer, off))
    assert np.abs(np.asarray(drawn, dtype=int) - np.asarray(plain, dtype=int)).max() <= 1


def budget(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(memory.Budget, "of", classmethod(lambda cls, *_args: cls(2**40, free, 0)))


def test_what_does_not_fit_is_refused_with_the_numbers(
    tiny_renderer: ZImageRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ran(*args: object) -> None:
        raise AssertionError("the model ran")

    budget(monkeypatch, 10_000)
    monkeypatch.setattr(tiny_renderer._prompts, "encode", ran)
    with pytest.raises(RenderError, match=r"64 × 64 px needs about \d+\.\d GB of memory, and 0\.0 GB is free"):
        tiny_renderer.render(spec(), ignore)


def test_what_fits_in_tiles_is_decoded_in_tiles(
    tiny_renderer: ZImageRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = spec(width=1024, height=1024, steps=1)
    need = memory.predict(tiny_renderer._model.config, tiny_renderer._vae, 1024, 1024, 4)
    between = (max(need.denoise, need.decode_tiled) + need.decode) // 2
    assert max(need.denoise, need.decode_tiled) < between < need.decode
    seen: list[bool] = []
    picture = tiny_renderer._decoder.picture

    def look(latents: torch.Tensor, *, tiled: bool = False) -> Image.Image:
        seen.append(tiled)
        return picture(latents, tiled=tiled)

    monkeypatch.setattr(tiny_renderer._decoder, "picture", look)
    whole = tiny_renderer.render(one, ignore).image
    budget(monkeypatch, between)
    tiled = tiny_renderer.render(one, ignore).image
    assert seen == [False, True] and tiled.size == whole.size and psnr(whole, tiled) > 25


def test_the_text_encoder_can_stay_in_main_memory(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a card of 16 GB: the loader is asked for it, and embeddings come to the transformer's device."""
    from studio.render import loader, precision

    asked: list[dict[str, Any]] = []
    load, choose = loader.load, precision.choose

    def watched(*args: Any, **options: Any) -> loader.Parts:
        asked.append(options)
        return load(*args, **options)

    monkeypatch.setattr(loader, "load", watched)
    monkeypatch.setattr(precision, "choose", lambda *args, **options: replace(
        choose(*args, **options), offload_text_encoder=True))
    renderer = ZImageRenderer(files(tiny_folder), CPU)
    assert asked[0]["text_encoder_device"] == torch.device("cpu")
    assert renderer._prompts.encode("a rose").embedding.device == renderer._model.device
