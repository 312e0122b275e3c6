from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import nn

from studio.render import decoder as module
from studio.render.decoder import Decoder, use_products


@pytest.fixture
def vae() -> Any:
    """With the one wide attention head of the real one."""
    torch.manual_seed(3)
    return AutoencoderKL(
        block_out_channels=[8, 8, 16, 64], layers_per_block=1, norm_num_groups=4, latent_channels=16,
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4, sample_size=1024,
        scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False,
    ).eval()


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn((1, 16, 12, 20), generator=torch.Generator().manual_seed(4))


def levels(one: Image.Image, other: Image.Image) -> int:
    """The largest difference of two pictures, of 255."""
    assert one.size == other.size
    return max(abs(a - b) for a, b in zip(one.tobytes(), other.tobytes(), strict=True))


@pytest.mark.parametrize("part", [module._SCORES, 4 * 240 * 7])
def test_products_are_the_stock_attention(
    vae: Any, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(module, "_SCORES", part)  # also in parts of 7 rows
    with torch.no_grad():
        wanted = vae.decoder(latents)
        [(attention, processor)] = use_products(vae.decoder)
        torch.testing.assert_close(vae.decoder(latents), wanted, rtol=1e-5, atol=1e-5)
    assert attention.heads == 1 and processor is not attention.processor


def test_a_picture_is_what_diffusers_makes(vae: Any, latents: torch.Tensor) -> None:
    exact = Decoder(vae, uint8=False).picture(latents)
    assert exact.size == (160, 96) and exact.mode == "RGB"
    assert levels(exact, Decoder(vae).picture(latents)) <= 1  # halves round the other way


def test_levers_say_why(vae: Any) -> None:
    plain = Decoder(vae)
    assert not plain.levers["vae"].used and "GPU" in plain.levers["vae"].reason
    assert plain.levers["uint8"].used
    off = Decoder(vae, fast=False, uint8=False).levers
    assert not off["vae"].used and not off["uint8"].used and "LEVERS_OFF" in off["vae"].reason + off["uint8"].reason


def test_tiles_give_nearly_the_same_and_are_undone(
    vae: Any, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TILE", 64)
    own = vae.tile_sample_min_size
    calls: list[torch.Size] = []
    vae.decoder.register_forward_hook(lambda _module, inputs, _out: calls.append(inputs[0].shape))
    decoder = Decoder(vae)
    whole, tiled = decoder.pixels(latents), decoder.pixels(latents, tiled=True)
    assert whole.shape == tiled.shape and not torch.equal(whole, tiled)
    assert len(calls) > 2 and max(calls[1][-2:]) <= 8
    image = decoder.picture(latents)
    assert decoder.latents(image, tiled=True).shape == decoder.latents(image).shape == latents.shape
    assert not vae.use_tiling and vae.tile_sample_min_size == own


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compiles with the backend that runs what was traced: the way of a GPU, without minutes of code generation."""
    original = nn.Module.compile

    def compile(self: nn.Module, **options: Any) -> None:
        original(self, backend="eager", **options)

    monkeypatch.setattr(nn.Module, "compile", compile)
    yield
    torch._dynamo.reset()


def test_the_fast_decoder_gives_the_same_picture(traced: None, vae: Any, latents: torch.Tensor) -> None:
    decoder = Decoder(vae)
    exact = decoder.picture(latents)
    decoder._speed_up()
    assert decoder.levers["vae"].used, decoder.levers["vae"].reason
    assert levels(exact, decoder.picture(latents)) <= 1
    assert levels(decoder.picture(latents[..., :8]), Decoder(vae).picture(latents[..., :8])) <= 1


def test_a_decoder_that_gives_something_else_is_not_taken(
    traced: None, vae: Any, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = Decoder(vae)
    exact = decoder.picture(latents)
    monkeypatch.setattr(module.Products, "_part", staticmethod(lambda q, keys, values: torch.zeros_like(q)))
    decoder._speed_up()
    assert not decoder.levers["vae"].used and "differs by" in decoder.levers["vae"].reason
    monkeypatch.undo()
    assert exact.tobytes() == decoder.picture(latents).tobytes()


def test_a_failing_compiler_is_given_up(vae: Any, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = Decoder(vae)
    exact = decoder.picture(latents)

    def broken(graph: Any, inputs: Any) -> Any:
        raise ValueError("no compiler")

    original = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: original(self, backend=broken, **options))
    decoder._speed_up()
    assert not decoder.levers["vae"].used and "no compiler" in decoder.levers["vae"].reason
    assert exact.tobytes() == decoder.picture(latents).tobytes()
    torch._dynamo.reset()


def test_pixels_and_masks_keep_their_values() -> None:
    image = Image.new("RGB", (4, 2), (0, 128, 255))
    pixels = module.to_pixels(image)
    assert pixels.shape == (1, 3, 2, 4) and pixels[0, 0, 0, 0] == -1 and pixels[0, 2, 0, 0] == 1
    mask = Image.new("L", (16, 8), 0)
    mask.paste(255, (8, 0, 16, 8))
    assert module.to_mask(mask, rows=1, columns=2).flatten().tolist() == [0.0, 1.0]
