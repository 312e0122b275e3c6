"""The training of the transformer and the text encoder: flow matching on the latents of the finished VAE.

The model sees what the pipeline will feed it: the prompt in the chat template, the hidden states before the last layer,
t = 1 - sigma, and it answers with x0 - noise.
"""

from __future__ import annotations

import random
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from diffusers import ZImageTransformer2DModel
from torch import Tensor
from transformers import Qwen3Model

from demo_model import networks, tokenizer
from demo_model.autoencoder import load, tensor
from demo_model.captions import caption
from demo_model.forward import Batched
from demo_model.layouts import Size
from demo_model.pictures import Painter
from demo_model.scenes import SIZES, Scene, draw
from demo_model.training import Run, advance, optimizers

_STEPS = 8  # that the model is sampled with
_ON_GRID = 2  # half of the samples lies exactly on the noise levels of those steps
#: Caption lengths, in tokens, and how often a step trains each: one language fits the first, both the second.
_LENGTHS = {32: .66, 64: .30, 96: .025, 128: .015}
_SAVE_EVERY = 300  # seconds


class Bank:
    """Latents of painted scenes by size, made once and shown many times, each time with another caption."""

    def __init__(self, vae: Any, painter: Painter, device: str, seed: int) -> None:
        self._vae, self._painter, self._device = vae, painter, device
        self._rng = random.Random(seed)
        self._found: dict[Size, list[tuple[Scene, Tensor]]] = defaultdict(list)
        self._order: dict[Size, list[int]] = defaultdict(list)

    @torch.no_grad()
    def add(self, count: int = 1, size: Size | None = None) -> None:
        """Paint and encode `count` more scenes."""
        for _ in range(count):
            scene = draw(self._rng, size)
            with torch.autocast(self._device, torch.bfloat16):
                moments = self._vae.encoder(tensor([self._painter.paint(scene)], self._device))
            latents = (moments.float().chunk(2, 1)[0] - self._vae.config.shift_factor) * self._vae.config.scaling_factor
            self._found[scene.size].append((scene, latents[0].half()))

    def batch(self, size: Size, count: int) -> tuple[list[Scene], Tensor]:
        """`count` scenes of `size` and their latents, [count, channels, h, w]; none comes again before all others."""
        if not self._found[size]:
            self.add(1, size)
        order, kept = self._order[size], self._found[size]
        while len(order) < count:
            again = list(range(len(kept)))
            self._rng.shuffle(again)
            order[:0] = again
        chosen = [kept[order.pop()] for _ in range(count)]
        return [scene for scene, _ in chosen], torch.stack([latents for _, latents in chosen]).float().to(self._device)


class Text:
    """Prompts to hidden states, as ZImagePipeline makes them."""

    def __init__(self, words: Any, encoder: Any) -> None:
        self.words, self.encoder = words, encoder

    def captions(self, scenes: list[Scene], rng: random.Random, tokens: int) -> list[str]:
        """A caption for each scene that fills just the blocks up to `tokens`."""
        return [self._fitting(scene, rng, tokens) for scene in scenes]

    def _fitting(self, scene: Scene, rng: random.Random, tokens: int) -> str:
        text = ""
        for _ in range(40):
            text = caption(scene, rng, long=tokens > 32)
            while tokens > 64 and self._count(text) <= tokens - 32:
                text = f"{text}, {caption(scene, rng, long=True)}"
            if tokens - 32 < self._count(text) <= tokens:
                return text
        return text

    def _count(self, text: str) -> int:
        return len(self.words(tokenizer.chat(self.words, text)).input_ids)

    def features(self, prompts: list[str], tokens: int, device: str) -> tuple[Tensor, Tensor]:
        """Hidden states [batch, tokens, width] and the number of each prompt's own tokens [batch]."""
        found = self.words([tokenizer.chat(self.words, prompt) for prompt in prompts], padding="max_length",
                           truncation=True, max_length=tokens, return_tensors="pt").to(device)
        states = self.encoder(
            input_ids=found.input_ids, attention_mask=found.attention_mask, output_hidden_states=True).hidden_states[-2]
        return states, found.attention_mask.sum(1)


def train(run: Run, painter: Painter, *, batch: int, rate: float, bank: int, start: Path | None) -> None:
    """Train with `batch` pictures a step at up to `rate`, `bank` painted to begin with, from `start` or from nothing.

    Takes `folder`/vae, or without it the VAE in `start`; writes `folder`/transformer, text_encoder, tokenizer, and a
    state that it resumes from.
    """
    torch.manual_seed(run.rank)
    vae = load(run.folder / "vae", *([start / "vae"] if start else [])).eval()
    vae.to(run.device, memory_format=torch.channels_last)
    words = tokenizer.build() if start is None else tokenizer.load(start / "tokenizer")
    if start is None:
        encoder = networks.text_encoder(len(words), words.pad_token_id, words.eos_token_id)
        model = networks.transformer()
    else:
        encoder = Qwen3Model.from_pretrained(start / "text_encoder", dtype=torch.float32)
        model = ZImageTransformer2DModel.from_pretrained(start / "transformer", torch_dtype=torch.float32)
    encoder, model = encoder.to(run.device).train(), model.to(run.device).train()
    text, forward = Text(words, encoder), Batched(model)
    for param in [*encoder.layers[-1].parameters(), *encoder.norm.parameters()]:
        param.requires_grad_(False)  # nothing reads what they make
    both = torch.nn.ModuleDict({"text_encoder": encoder, "transformer": model})
    mean = networks.Average(both, horizon=400)
    named = [(name, param) for name, param in both.named_parameters() if param.requires_grad]
    matrices = [param for name, param in named if _is_hidden(name, param)]
    known = {id(param) for param in matrices}
    steppers = optimizers(matrices, [param for _, param in named if id(param) not in known], run)
    params = [param for _, param in named]
    state = run.folder / "diffusion.pt"
    if state.exists():
        _resume(state, both, mean, steppers)
    rng, shared = random.Random(time.time_ns() + run.rank), random.Random(2)
    latents = Bank(vae, painter, run.device, run.rank * 7919 + 11)
    latents.add(bank // run.world)
    saved = run.started = time.monotonic()
    while run.goes_on:
        size = shared.choices(list(SIZES), list(SIZES.values()))[0]
        tokens = shared.choices(list(_LENGTHS), list(_LENGTHS.values()))[0]
        if run.step % 4 == 0:
            latents.add()
        scenes, clean = latents.batch(size, batch // run.world)
        noise = torch.randn_like(clean)
        sigma = _levels(len(scenes)).to(run.device)
        with torch.autocast(run.device, torch.bfloat16):
            features, lengths = text.features(text.captions(scenes, rng, tokens), tokens, run.device)
            noisy = torch.lerp(clean, noise, sigma[:, None, None, None])
            velocity = forward(noisy, 1 - sigma, features, lengths).float()
        errors = (velocity - (clean - noise)).pow(2).mean((1, 2, 3))
        now = run.rate(rate, warm=60, hold=.5, lowest=.02)
        norm = run.backward(errors.mean(), params)
        advance(steppers, now)
        mean.update(both)
        kept = errors.detach()
        run.log(rate=now, norm=norm, loss=kept.mean(), low=kept[sigma < .6].mean(), high=kept[sigma > .85].mean())
        if run.leads and (time.monotonic() - saved > _SAVE_EVERY or not run.goes_on):
            saved = time.monotonic()
            _save(run, both, mean, words, steppers)


def _is_hidden(name: str, param: Tensor) -> bool:
    ends = ("embed", "adaLN", "final_layer", "pad_token")
    return param.ndim == 2 and not any(end in name for end in ends)


def _levels(count: int) -> Tensor:
    """Noise levels, [count]: uniform before the schedule's shift, a part of them exactly where sampling will be."""
    level = torch.rand(count) * .998 + .002
    part = count // _ON_GRID
    level[:part] = torch.randint(1, _STEPS + 1, (part,)) / _STEPS
    return networks.SHIFT * level / (1 + (networks.SHIFT - 1) * level)


def _save(run: Run, both: Any, mean: networks.Average, words: Any, steppers: list[torch.optim.Optimizer]) -> None:
    finished = mean.applied_to(both)
    finished["transformer"].save_pretrained(run.folder / "transformer")
    finished["text_encoder"].save_pretrained(run.folder / "text_encoder")
    words.save_pretrained(run.folder / "tokenizer")
    fresh = run.folder / "diffusion.new"
    torch.save({"weights": both.state_dict(), "mean": mean.state(),
                "steppers": [stepper.state_dict() for stepper in steppers]}, fresh)
    fresh.replace(run.folder / "diffusion.pt")


def _resume(state: Path, both: Any, mean: networks.Average, steppers: list[torch.optim.Optimizer]) -> None:
    found = torch.load(state, weights_only=True)
    both.load_state_dict(found["weights"])
    mean.load(found["mean"])
    for stepper, kept in zip(steppers, found["steppers"], strict=True):
        stepper.load_state_dict(kept)
