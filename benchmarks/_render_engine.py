"""One picture from prompt to pixels, twice: by diffusers' own pipeline, and by the studio's engine."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from studio.render import attention, precision
from studio.render.compiling import Compiler
from studio.render.decoder import Decoder, to_image
from studio.render.fused import PADDING, PATCH, FusedTransformer
from studio.render.graphs import Steps
from studio.render.prompts import PromptEncoder

STEPS = 8
PROMPT = ("红色背景上的玻璃香水瓶，商业摄影，柔和的光，画面左侧留白\n"
          "A glass perfume bottle on a red background, soft studio light, commercial product photo, empty space left")


class Engine(Protocol):
    """Makes pictures. `mark` is called after each stage with its name."""

    def render(self, seed: int, width: int, height: int, mark: Callable[[str], None]) -> Image.Image:
        """The picture of PROMPT."""
        ...


def noise(pipe: Any, seed: int, width: int, height: int) -> Tensor:
    """Start noise [1, channels, h, w], fp32, as the pipeline draws it."""
    factor = pipe.vae_scale_factor
    shape = (1, pipe.transformer.in_channels, height // factor, width // factor)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@dataclass
class Stock:
    """The pipeline as diffusers ships it: eager, prompt padded to 512 tokens, floats to the host."""

    pipe: Any

    @torch.no_grad()
    def render(self, seed: int, width: int, height: int, mark: Callable[[str], None]) -> Image.Image:
        """As ZImagePipeline.__call__ does, in stages."""
        pipe = self.pipe
        embeds, _none = pipe.encode_prompt([PROMPT], do_classifier_free_guidance=False)
        mark("text")
        latents = pipe(
            prompt_embeds=embeds, width=width, height=height, num_inference_steps=STEPS, guidance_scale=0.0,
            latents=noise(pipe, seed, width, height), output_type="latent").images
        mark("denoise")
        config = pipe.vae.config
        latents = latents.to(pipe.vae.dtype) / config.scaling_factor + config.shift_factor
        picture = pipe.vae.decode(latents, return_dict=False)[0]
        mark("decode")
        image: Image.Image = pipe.image_processor.postprocess(picture, output_type="pil")[0]
        mark("copy")
        return image


@dataclass
class Ours:
    """The studio's engine with some of its levers. Levers stay on once pulled: name them in the order of their gain."""

    pipe: Any
    cache: Path
    prompt: str = PROMPT
    model: FusedTransformer = field(init=False)

    def __post_init__(self) -> None:
        self.device: torch.device = self.pipe.transformer.device
        self.model = FusedTransformer(self.pipe.transformer)
        # No cache of embeddings: each picture of the benchmark has the same prompt and pays for it.
        self.prompts = PromptEncoder(self.pipe.text_encoder, self.pipe.tokenizer, 512, cached=False)
        self.vae = copy.deepcopy(self.pipe.vae)  # compiled in place, which the stock pipeline must not see
        self.decoder = Decoder(self.vae, fast=False)
        self.steps = Steps(self.model, on=False)
        scheduler = self.pipe.scheduler
        linear = torch.linspace(1.0, 1.0 / STEPS, STEPS)
        shifted = scheduler.config.shift * linear / (1 + (scheduler.config.shift - 1) * linear)
        self.sigmas = [*shifted.tolist(), 0.0]

    def pull(self, lever: str) -> str:
        """Switch `lever` on and say what came of it. A precision's name quantises."""
        if lever == "attention":
            config = self.model.config
            tokens = 4096 + 3 * PADDING  # 1024 x 1024 px
            found, _name, reason = attention.choose(
                self.device, self.model.dtype, config.n_heads, config.dim // config.n_heads, tokens)
            for block in self.model.blocks():
                block.attend = found
            return reason
        if lever == "compile":
            self.compiler = Compiler(self.model, cache=self.cache)
            self.compiler.prewarm([(16, 16)])
            self.steps = Steps(self.model, on=False, compiler=self.compiler)
            return self.compiler.lever.reason
        if lever == "vae":
            self.decoder = Decoder(self.vae)
            return self.decoder.levers["vae"].reason
        if lever == "graphs":
            self.steps = Steps(self.model, compiler=getattr(self, "compiler", None))
            return self.steps.lever.reason
        return f"{precision.quantise(self.model, lever, self.model.device)} projections"

    @torch.no_grad()
    def render(self, seed: int, width: int, height: int, mark: Callable[[str], None]) -> Image.Image:
        """Encode, plan, eight steps of Euler, decode, copy."""
        embedding = self.prompts.encode(self.prompt).embedding
        mark("text")
        cell = self.pipe.vae_scale_factor * PATCH
        times = 1.0 - torch.tensor(self.sigmas[:-1])
        plan = self.model.prepare([embedding], rows=height // cell, columns=width // cell, times=times)
        latents = noise(self.pipe, seed, width, height).to(self.device)
        for step in range(STEPS):
            change = self.sigmas[step] - self.sigmas[step + 1]
            latents = latents + change * self.steps.velocity(latents, plan, step)
        mark("denoise")
        pixels = self.decoder.pixels(latents)
        mark("decode")
        image = self.decoder._image(pixels) if self.device.type == "cuda" else to_image(pixels)
        mark("copy")
        return image


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds: medians by stage, and of whole pictures, one a round, without waiting between stages."""

    stages: dict[str, float]
    rounds: tuple[float, ...]
    idle: float | None  # share of the time that the GPU waited between pictures of a queue
    peak: int | None  # bytes

    @property
    def picture(self) -> float:
        """Median."""
        return statistics.median(self.rounds)


def interleaved(engines: dict[str, Engine], width: int, height: int, rounds: int, until: float) -> dict[str, Times]:
    """Time `engines` in turn, so that what else the machine does falls on all of them.

    No round begins after `until` (of perf_counter), but the first that counts.
    """
    cuda = torch.cuda.is_available()
    stages: dict[str, dict[str, list[float]]] = {name: {} for name in engines}
    whole: dict[str, list[float]] = {name: [] for name in engines}
    peaks: dict[str, int] = {}
    for number in range(rounds + 1):  # the first is a warm-up
        if number > 1 and perf_counter() > until:
            break
        for name, engine in engines.items():
            for staged in (False, True):
                if cuda:
                    torch.cuda.synchronize()
                    torch.cuda.reset_peak_memory_stats()
                clock = _Clock(stages[name] if staged and number else {}, waits=staged and cuda)
                started = perf_counter()
                engine.render(number, width, height, clock.mark if staged else _ignore)
                if number and not staged:
                    whole[name].append((perf_counter() - started) * 1000)
            if cuda:
                peaks[name] = torch.cuda.max_memory_allocated()
    return {name: Times(
        {stage: statistics.median(found) for stage, found in stages[name].items()}, tuple(whole[name]),
        # Of the studio's engine alone: the stock pipeline's would be asked for again with each variant.
        idle_share(engine, width, height) if cuda and isinstance(engine, Ours) else None, peaks.get(name),
    ) for name, engine in engines.items()}


def idle_share(engine: Engine, width: int, height: int, count: int = 4) -> float:
    """The part of the time that the GPU computes nothing while a queue is worked off and a thread writes PNGs."""
    def queue() -> float:
        started = perf_counter()
        with ThreadPoolExecutor(2) as pool:
            written: list[Future[None]] = []
            for number in range(count):
                image = engine.render(100 + number, width, height, _ignore)
                torch.cuda.synchronize()
                done = perf_counter()
                written.append(pool.submit(_png, image))
            for future in written:
                future.result()
        return done - started

    total = queue()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        queue()
    busy = sum(float(event.self_device_time_total) for event in profiler.key_averages()) / 1e6
    return max(0.0, 1 - busy / total)


def _png(image: Image.Image) -> None:
    image.save(BytesIO(), "PNG", compress_level=1)


class _Clock:
    def __init__(self, into: dict[str, list[float]], *, waits: bool) -> None:
        self._into, self._waits, self._last = into, waits, perf_counter()

    def mark(self, stage: str) -> None:
        if self._waits:
            torch.cuda.synchronize()
        now = perf_counter()
        self._into.setdefault(stage, []).append((now - self._last) * 1000)
        self._last = now


def _ignore(stage: str) -> None:
    pass
