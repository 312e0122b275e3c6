"""The VAE's training: at 256 px first, then grown to 512; and the polish of its decoder at the end."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from demo_model import networks
from demo_model.pictures import Painter, Pixels
from demo_model.scenes import CELL, SIZES, draw
from demo_model.training import Run, advance, optimizers

_RATE = 5e-4
_KL = 3e-4
_MEASURED = 60  # pictures
_NOISE = .08  # of the latents' spread: the decoder learns to forgive what the transformer gets slightly wrong


def tensor(pictures: Sequence[Pixels], device: str) -> Tensor:
    """[n, 3, h, w] in -1..1, channels last, as the VAE takes it."""
    stacked = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).to(device)
    return (stacked.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def likeness(result: Tensor, truth: Tensor) -> Tensor:
    """How far two batches of pictures are apart: their pixels and their edges, at full and at quarter size."""
    coarse, coarse_truth = F.avg_pool2d(result, 4), F.avg_pool2d(truth, 4)
    return (F.l1_loss(result, truth) + 1.2 * _edges(result, truth)
            + .5 * F.l1_loss(coarse, coarse_truth) + .25 * _edges(coarse, coarse_truth))


def _edges(result: Tensor, truth: Tensor) -> Tensor:
    return (F.l1_loss(result.diff(dim=-2), truth.diff(dim=-2)) + F.l1_loss(result.diff(dim=-1), truth.diff(dim=-1)))


def psnr(result: Tensor, truth: Tensor) -> float:
    """In dB, for pictures in -1..1."""
    return float(10 * torch.log10(4 / F.mse_loss(result, truth)))


def crops(painter: Painter, rng: random.Random, count: int, *, half: bool) -> list[Pixels]:
    """`count` squares of 256 px on the grid of the latents, biased to the middle; `half`: of halves, 128 px."""
    found: list[Pixels] = []
    while len(found) < count:
        scene = draw(rng)
        width, height = scene.size
        picture = painter.paint(scene)
        if half:
            picture = np.ascontiguousarray(picture[::2, ::2])
            width, height = width // 2, height // 2
        side = 128 if half else 256
        for _ in range(2):
            x, y = (_place(rng, length, side) for length in (width, height))
            found.append(picture[y:y + side, x:x + side])
    return found[:count]


def _place(rng: random.Random, length: int, side: int) -> int:
    cells = (length - side) / CELL
    return min(max(round(rng.gauss(cells / 2, .28 * (cells + 1))), 0), int(cells)) * CELL


def train(run: Run, painter: Painter, *, batch: int, start: Path | None) -> None:
    """Train the VAE, grown from the one in `start` or, without it, from nothing at 256 px; writes `folder`/vae."""
    torch.manual_seed(run.rank)
    made: Any = networks.vae() if start is None else _grown(start)
    half = start is None
    made.to(run.device, memory_format=torch.channels_last).train()
    mean = networks.Average(made, horizon=200)
    named = list(made.named_parameters())
    ends = ("encoder.conv_in.weight", "decoder.conv_out.weight")
    matrices = [p for name, p in named if p.ndim >= 2 and name not in ends]
    known = {id(p) for p in matrices}
    steppers = optimizers(matrices, [p for _, p in named if id(p) not in known], run)
    params = [p for _, p in named]
    rng = random.Random(run.rank * 7919 + (1 if half else 2))
    while run.goes_on:
        rate = run.rate(_RATE, warm=50, hold=.3, lowest=.02)
        whole = not half and run.step % 3 == 2
        truth = tensor(
            [painter.paint(draw(rng))] if whole else crops(painter, rng, batch // run.world, half=half), run.device)
        with torch.autocast(run.device, torch.bfloat16):
            moments = made.encoder(truth).float()
        middle, spread = moments.chunk(2, 1)
        spread = spread.clamp(-30, 20)
        latents = middle + torch.exp(spread / 2) * torch.randn_like(middle)
        if run.done > .1:
            latents = latents + _NOISE * middle.detach().std() * torch.randn_like(latents)
        with torch.autocast(run.device, torch.bfloat16):
            result = made.decoder(latents).float()
        kl = .5 * (middle ** 2 + spread.exp() - 1 - spread).mean()
        loss = likeness(result, truth) + _KL * kl
        norm = run.backward(loss, params)
        advance(steppers, rate)
        mean.update(made)
        quality = psnr(result.detach(), truth)
        run.log(rate=rate, norm=norm, loss=loss.detach(), kl=kl.detach(),
                crops=math.nan if whole else quality, whole=quality if whole else math.nan)
    if run.leads:
        finished = mean.applied_to(made)
        _measure(finished, painter, run.device, half=half, count=min(_MEASURED, run.steps))
        finished.save_pretrained(run.folder / "vae")


def load(*folders: Path) -> Any:
    """The VAE in the first of these folders that is there, in fp32."""
    folder = next(folder for folder in folders if folder.exists())
    return AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)


def _grown(folder: Path) -> Any:
    found = load(folder)
    return found if len(found.config.block_out_channels) > len(networks.vae().config.block_out_channels) \
        else networks.grow(found)


@torch.no_grad()
def _measure(made: Any, painter: Painter, device: str, *, half: bool, count: int) -> None:
    """Set the factors that give the latents mean 0 and spread 1, and print how well whole pictures come back."""
    rng, latents, quality = random.Random(123), [], []
    sizes = list(SIZES)[:6]
    for index in range(count):
        picture = painter.paint(draw(rng, sizes[index % len(sizes)]))
        truth = tensor([picture[::2, ::2] if half else picture], device)
        found = made.encode(truth).latent_dist.mean
        latents.append(found.flatten())
        quality.append(psnr(made.decode(found).sample.clamp(-1, 1), truth))
    every = torch.cat(latents)
    made.register_to_config(scaling_factor=1 / every.std().item(), shift_factor=every.mean().item())
    print(f"whole pictures: {np.mean(quality):.2f} dB, worst {min(quality):.2f} dB; "
          f"latents {every.mean().item():.4f} +- {every.std().item():.4f}", flush=True)
