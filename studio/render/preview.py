"""A small picture of where a render is heading, made after each step without the VAE decoder."""

from __future__ import annotations

from io import BytesIO

import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch.nn import functional as F

_PATTERNS = 24
SIDE = 64  # px, the preview's longer side
MAX_BYTES = 2048

# How much each of the 16 latent channels of the Flux VAE gives to red, green and blue, and the
# bias; measured constants published with ComfyUI (comfy/latent_formats.py, class Flux).
_FLUX_BIAS = (-0.0329, -0.0718, -0.0851)
_FLUX = (
    (-0.0346, 0.0244, 0.0681), (0.0034, 0.0210, 0.0687), (0.0275, -0.0668, -0.0433), (-0.0174, 0.0160, 0.0617),
    (0.0859, 0.0721, 0.0329), (0.0004, 0.0383, 0.0115), (0.0405, 0.0861, 0.0915), (-0.0236, -0.0185, -0.0259),
    (-0.0245, 0.0250, 0.1180), (0.1008, 0.0755, -0.0421), (-0.0515, 0.0201, 0.0011), (0.0428, -0.0012, -0.0036),
    (0.0817, 0.0765, 0.0749), (-0.1264, -0.0522, -0.1103), (-0.0280, -0.0881, -0.0499), (-0.1262, -0.0982, -0.0778),
)


class Previewer:
    """Turns latents into a small WebP by one matrix: each latent cell becomes `cell` x `cell` pixels."""

    def __init__(self, vae: AutoencoderKL, factor: int) -> None:
        """`factor`: pixels of a picture for each latent cell."""
        if vae.config.latent_channels == len(_FLUX):
            self._cell = 1
            matrix = torch.tensor((*_FLUX, _FLUX_BIAS))
        else:
            # One pixel for each 4 of the picture; deeper VAEs keep that detail in their channels.
            self._cell = max(1, factor // 4)
            matrix = fit_matrix(vae, self._cell)
        self._matrix = matrix.to(vae.device)

    @torch.no_grad()
    def pixels(self, latents: torch.Tensor) -> torch.Tensor:
        """The preview of latents (1, C, h, w), float32 as the sampler holds them: uint8 (h, w, 3) on their device."""
        long = max(latents.shape[-2:])
        if long > SIDE:
            size = [max(1, round(side * SIDE / long)) for side in latents.shape[-2:]]
            latents = F.interpolate(latents, size=size, mode="area")
        pixels = latents[0].movedim(0, -1) @ self._matrix[:-1] + self._matrix[-1]
        pixels = F.pixel_shuffle(pixels.movedim(-1, 0), self._cell)
        return ((pixels + 1) * 127.5).nan_to_num(0).clamp(0, 255).byte().movedim(0, -1).contiguous()

    def webp(self, pixels: torch.Tensor) -> bytes:
        """`pixels` in main memory as WebP, at most MAX_BYTES."""
        image = Image.fromarray(pixels.numpy())
        if max(image.size) != SIDE:
            scale = SIDE / max(image.size)
            width, height = (max(1, round(side * scale)) for side in image.size)
            image = image.resize((width, height), Image.Resampling.BICUBIC)
        return _webp(image)


def predicted(latents: torch.Tensor, noise_pred: torch.Tensor, sigma: float) -> torch.Tensor:
    """The noiseless latents that the model sees in `latents`, to which it gave `noise_pred` at noise level `sigma`."""
    return latents - sigma * noise_pred


@torch.no_grad()
def fit_matrix(vae: AutoencoderKL, cell: int) -> torch.Tensor:
    """Least squares from latent channels and a bias to cell x cell RGB pixels in -1..1.

    Fitted to discs on gradients sent through the VAE's own encoder, always the same ones: edges between even areas are
    what pictures are made of, and bring a preview 15 to 25 % nearer to its picture than patches of random colour.
    Returns (C + 1, 3 * cell * cell) on the CPU, the bias in the last row.
    """
    generator = torch.Generator().manual_seed(0)
    side = 8 * 2 ** (len(vae.config.block_out_channels) - 1)  # px: 8 x 8 cells a picture
    pictures = torch.stack([_discs(side, generator) for _ in range(_PATTERNS)])
    encoded = vae.encode(pictures.to(vae.device, vae.dtype)).latent_dist.mode()
    latents = ((encoded - vae.config.shift_factor) * vae.config.scaling_factor).float().cpu()
    wanted = F.pixel_unshuffle(F.adaptive_avg_pool2d(pictures, 8 * cell), cell)
    rows = latents.movedim(1, -1).flatten(0, 2)
    rows = torch.cat((rows, torch.ones(len(rows), 1)), dim=1)
    matrix: torch.Tensor = torch.linalg.lstsq(rows, wanted.movedim(1, -1).flatten(0, 2)).solution
    return matrix


def _discs(side: int, generator: torch.Generator) -> torch.Tensor:
    """Three discs on a gradient, in colours of chance: (3, side, side) in -1..1."""
    y, x = torch.meshgrid(torch.linspace(0, 1, side), torch.linspace(0, 1, side), indexing="ij")
    colours = torch.rand((5, 3, 1, 1), generator=generator) * 2 - 1
    across, down = torch.rand(2, generator=generator)
    picture = torch.lerp(colours[0], colours[1], (x * across + y * down) / (across + down))
    for colour in colours[2:]:
        left, top, size = torch.rand(3, generator=generator)
        inside = torch.hypot(x - left, y - top) < 0.08 + 0.25 * size
        picture = torch.where(inside, colour, picture)
    return picture


def _webp(image: Image.Image) -> bytes:
    data = b""
    for quality in (60, 30, 5):
        out = BytesIO()
        image.save(out, "WEBP", quality=quality, method=0)
        data = out.getvalue()
        if len(data) <= MAX_BYTES:
            break
    return data
