"""Pictures to latents and back: the VAE at both ends of a render."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor


class Decoder:
    """Turns latents [1, channels, h, w], fp32 as the samplers hold them, into pictures, and pictures into latents."""

    def __init__(self, vae: AutoencoderKL) -> None:
        self._vae: Any = vae
        #: Pixels of a picture for each latent cell.
        self.factor = int(2 ** (len(vae.config.block_out_channels) - 1))

    @torch.no_grad()
    def picture(self, latents: Tensor) -> Image.Image:
        """The RGB picture of finished latents."""
        return to_image(self.pixels(latents))

    @torch.no_grad()
    def pixels(self, latents: Tensor) -> Tensor:
        """The picture as uint8 [height, width, 3] on the latents' device."""
        config = self._vae.config
        cells = (latents / config.scaling_factor + config.shift_factor).to(self._vae.dtype)
        picture = self._vae.decode(cells, return_dict=False)[0]
        return (picture[0].float() * 127.5 + 127.5).round_().clamp_(0, 255).to(torch.uint8).permute(1, 2, 0)

    @torch.no_grad()
    def latents(self, image: Image.Image) -> Tensor:
        """The latents of an RGB picture whose sides are multiples of `factor`: the mode, not a sample."""
        return self.encode(to_pixels(image))

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """The latents, fp32, of pixels [1, 3, height, width] in -1..1."""
        config = self._vae.config
        found = self._vae.encode(pixels.to(self._vae.device, self._vae.dtype)).latent_dist.mode()
        return ((found - config.shift_factor) * config.scaling_factor).float()


def to_image(pixels: Tensor) -> Image.Image:
    """uint8 [height, width, 3] as an RGB image."""
    return Image.fromarray(pixels.contiguous().cpu().numpy())


def to_pixels(image: Image.Image) -> Tensor:
    """An RGB image as fp32 [1, 3, height, width] in -1..1."""
    width, height = image.size
    flat = torch.frombuffer(bytearray(image.convert("RGB").tobytes()), dtype=torch.uint8)
    return (flat.view(1, height, width, 3).permute(0, 3, 1, 2).float() / 127.5) - 1


def to_mask(image: Image.Image, *, rows: int, columns: int) -> Tensor:
    """A mask picture as fp32 [1, 1, rows, columns] of 0 and 1 (white, painted anew), one value a latent cell.

    The nearest pixel decides, as in diffusers' inpainting pipelines.
    """
    width, height = image.size
    flat = torch.frombuffer(bytearray(image.convert("L").tobytes()), dtype=torch.uint8).view(1, 1, height, width)
    cells = torch.nn.functional.interpolate((flat >= 128).float(), size=(rows, columns), mode="nearest")
    return cells
