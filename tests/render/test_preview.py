from __future__ import annotations

import os
from io import BytesIO
from time import perf_counter

import pytest
import torch
from PIL import Image

from studio.render.preview import MAX_BYTES, _webp, predicted
from studio.render.zimage import ZImageRenderer


def test_the_prediction_undoes_the_noise() -> None:
    clean, noise, sigma = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), torch.tensor(0.7)
    noisy = (1 - sigma) * clean + sigma * noise
    assert torch.allclose(predicted(noisy, noise - clean, sigma), clean, atol=1e-6)


@pytest.mark.parametrize(("rows", "columns", "size"), [(240, 136, (36, 64)), (12, 92, (64, 8)), (2, 32, (64, 4))])
def test_any_shape_fits_into_64_px(
    tiny_renderer: ZImageRenderer, rows: int, columns: int, size: tuple[int, int]
) -> None:
    data = tiny_renderer._previewer.webp(torch.randn(1, 16, rows, columns))
    with Image.open(BytesIO(data)) as image:
        assert image.size == size


def test_numbers_that_are_none_do_not_break_it(tiny_renderer: ZImageRenderer) -> None:
    assert tiny_renderer._previewer.webp(torch.full((1, 16, 8, 8), float("nan")))


def test_even_noise_stays_small() -> None:
    assert len(_webp(Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3)))) <= MAX_BYTES


def test_it_is_quick(tiny_renderer: ZImageRenderer) -> None:
    latents = torch.randn(1, 16, 240, 136)
    times = []
    for _ in range(20):
        start = perf_counter()
        tiny_renderer._previewer.webp(latents)
        times.append(perf_counter() - start)
    assert min(times) < 0.003
