from __future__ import annotations

import os
from io import BytesIO

import pytest
import torch
from PIL import Image

from studio.render.preview import MAX_BYTES, _webp, predicted
from studio.render.zimage import ZImageRenderer


def preview(renderer: ZImageRenderer, latents: torch.Tensor) -> bytes:
    return renderer._previewer.webp(renderer._previewer.pixels(latents))


def test_the_prediction_undoes_the_noise() -> None:
    clean, noise, sigma = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8), 0.7
    noisy = (1 - sigma) * clean + sigma * noise
    assert torch.allclose(predicted(noisy, noise - clean, sigma), clean, atol=1e-6)


@pytest.mark.parametrize(("rows", "columns", "size"), [(240, 136, (36, 64)), (12, 92, (64, 8)), (2, 32, (64, 4))])
def test_any_shape_fits_into_64_px(
    tiny_renderer: ZImageRenderer, rows: int, columns: int, size: tuple[int, int]
) -> None:
    data = preview(tiny_renderer, torch.randn(1, 16, rows, columns))
    with Image.open(BytesIO(data)) as image:
        assert image.size == size


def test_numbers_that_are_none_do_not_break_it(tiny_renderer: ZImageRenderer) -> None:
    assert preview(tiny_renderer, torch.full((1, 16, 8, 8), float("nan")))


def test_even_noise_stays_small() -> None:
    assert len(_webp(Image.frombytes("RGB", (64, 64), os.urandom(64 * 64 * 3)))) <= MAX_BYTES
