"""The decoder's own training, when the encoder is finished: first on true latents, then on the transformer's.

For the second, each true latent is made noisy, and the transformer takes the noise out again in its last steps; what it
gets slightly wrong is what the decoder must see through. The transformer and the encoder stay as they are.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import ZImageTransformer2DModel
from torch import Tensor
from transformers import Qwen3Model

from demo_model import networks, tokenizer
from demo_model.autoencoder import likeness, load, psnr, tensor
from demo_model.diffusion import Text
from demo_model.forward import Batched
from demo_model.pictures import Painter
from demo_model.scenes import Scene, draw
from demo_model.training import Run, advance, optimizers

_RATE = 4e-4
#: How many of the eight steps the transformer takes. With more the thing may come out in another pose.
_LAST_STEPS = (1, 2, 3, 4)
#: Noise on top, in units of the latents' spread; the transformer's own errors need little more.
_JITTER, _JITTER_GENERATED = .06, .02

#: A scene and its latents to the latents that the decoder is to learn from; all [1, channels, h, w].
Source = Callable[[Scene, Tensor], Tensor]


def train(run: Run, painter: Painter, *, generated: bool, start: Path | None) -> None:
    """Train the decoder of `folder`/polished, at first of `folder`/vae or of `start`; write it to `folder`/polished.

    `generated`: on latents that the transformer has worked on, instead of true ones.
    """
    torch.manual_seed(run.rank)
    vae = load(run.folder / "polished", run.folder / "vae", *([start / "vae"] if start else []))
    vae.to(run.device, memory_format=torch.channels_last)
    vae.encoder.requires_grad_(False)
    source = _generated(run) if generated else _true
    decoder = vae.decoder.train()
    mean = networks.Average(decoder, horizon=200)
    named = list(decoder.named_parameters())
    matrices = [param for name, param in named if param.ndim >= 2 and name != "conv_out.weight"]
    known = {id(param) for param in matrices}
    steppers = optimizers(matrices, [param for _, param in named if id(param) not in known], run)
    params, rng = [param for _, param in named], random.Random(run.rank * 7919 + 3)
    while run.goes_on:
        # Always a whole picture: the norms look at all of one.
        truth, latents = _pair(vae, painter, source, run.device, rng, _JITTER_GENERATED if generated else _JITTER)
        with torch.autocast(run.device, torch.bfloat16):
            result = decoder(latents).float()
        norm = run.backward(likeness(result, truth), params)
        advance(steppers, run.rate(_RATE, warm=30, hold=.5, lowest=.02))
        mean.update(decoder)
        run.log(norm=norm, psnr=psnr(result.detach(), truth))
    if run.leads:
        vae.decoder = mean.applied_to(decoder)
        vae.save_pretrained(run.folder / "polished")


@torch.no_grad()
def _pair(
    vae: Any, painter: Painter, source: Source, device: str, rng: random.Random, jitter: float,
) -> tuple[Tensor, Tensor]:
    """A picture [1, 3, h, w] and the latents to make it from."""
    scene = draw(rng)
    truth = tensor([painter.paint(scene)], device)
    config = vae.config
    with torch.autocast(device, torch.bfloat16):
        clean = (vae.encoder(truth).float().chunk(2, 1)[0] - config.shift_factor) * config.scaling_factor
        found = source(scene, clean)
    found = found + jitter * torch.randn_like(found)
    latents = found / config.scaling_factor + config.shift_factor
    return truth, latents.contiguous(memory_format=torch.channels_last)


def _true(scene: Scene, clean: Tensor) -> Tensor:
    return clean


def _generated(run: Run) -> Source:
    model = ZImageTransformer2DModel.from_pretrained(run.folder / "transformer").to(run.device).eval()
    encoder = Qwen3Model.from_pretrained(run.folder / "text_encoder").to(run.device).eval()
    text, forward = Text(tokenizer.load(run.folder / "tokenizer"), encoder), Batched(model)
    rng = random.Random(run.rank)

    def again(scene: Scene, clean: Tensor) -> Tensor:
        features, lengths = text.features(text.captions([scene], rng, 32), 32, run.device)
        levels = sigmas(rng.choice(_LAST_STEPS))
        latents = torch.lerp(clean, torch.randn_like(clean), levels[0].item())
        for now, following in itertools.pairwise(levels):
            velocity = forward(latents, (1 - now).expand(len(latents)).to(latents.device), features, lengths).float()
            latents = latents + (now - following) * velocity
        return latents

    return again


def sigmas(steps: int) -> Tensor:
    """The noise levels of the last `steps` of eight steps, and 0."""
    level = torch.arange(steps, -1, -1) / 8
    return networks.SHIFT * level / (1 + (networks.SHIFT - 1) * level)
