"""The Z-Image render engine: one loaded model, one picture at a time."""

from __future__ import annotations

import gc
import platform
from threading import Lock
from time import perf_counter
from typing import Any

import diffusers
import torch
import transformers
from PIL import Image

from studio.domain.engine import GATED, EngineOptions, ModelFiles
from studio.domain.errors import RenderError
from studio.domain.guides import Control
from studio.domain.i18n import gettext_noop as _
from studio.domain.spec import OnStep, Rendered, RenderSpec, Step
from studio.render import attention, control, decoder, loader, memory, precision
from studio.render.checks import check
from studio.render.compiling import Compiler
from studio.render.decoder import Decoder
from studio.render.denoise import Guided, Kept, denoise
from studio.render.fused import PADDING, PATCH, FusedTransformer, Hints, Plan
from studio.render.graphs import Steps
from studio.render.levers import Lever, Levers
from studio.render.lora import LoraSet
from studio.render.preview import Previewer
from studio.render.prompts import PromptEncoder
from studio.render.samplers import Schedule

#: The length of sequence that attention kernels are timed with: 1024 x 1024 px and a caption.
TIMED_TOKENS = 4096 + 96


class ZImageRenderer:
    """A `studio.domain.spec.Renderer` for one Z-Image model.

    The same spec on the same device, precision, levers and number of threads gives the same bytes.
    """

    def __init__(self, files: ModelFiles, options: EngineOptions | None = None) -> None:
        """Load the model as `options` say. Raises ModelUnusable."""
        self._options = options = options or EngineOptions()
        if options.threads:
            torch.set_num_threads(options.threads)
        self._files = files
        self._device = device = loader.choose_device(options.device)
        wanted = Levers.of(options).wanted
        self._choice = choice = precision.choose(
            options.precision, options.default_precision, precision.Card.of(device), loader.count(files),
            reserve=options.reserve)
        main_memory = torch.device("cpu")
        parts = loader.load(
            files, device, choice.dtype,
            # What will be quantised may not fit onto the card as it is.
            transformer_device=main_memory if choice.precision in GATED else device,
            text_encoder_device=main_memory if choice.offload_text_encoder else device)
        config = parts.transformer.config
        attend, self._kernel, about = attention.choose(
            device, choice.dtype, config.n_heads, config.dim // config.n_heads, TIMED_TOKENS, on=wanted("attention"))
        self._attention = Lever(self._kernel != "sdpa", about)
        self._model = FusedTransformer(parts.transformer, attend=attend)
        precision.quantise(self._model, choice.precision, device)
        self._compiler = Compiler(
            self._model, on=wanted("compile"), cache=options.cache, asked=bool(options.prewarm))
        self._stepper = Steps(self._model, wanted("graphs"), compiler=self._compiler)
        self._prompts = PromptEncoder(
            parts.text_encoder, parts.tokenizer, min(files.card.max_tokens, config.axes_lens[0] - PADDING),
            real_tokens=wanted("real_tokens"), cached=wanted("prompt_cache"), graphs=wanted("graphs"), device=device)
        self._decoder = Decoder(parts.vae, fast=wanted("vae"), uint8=wanted("uint8"))
        self._vae: Any = parts.vae.config
        self._flow = parts.scheduler
        self._previewer = Previewer(parts.vae, self._decoder.factor)
        self._loras = LoraSet(self._model)
        self._controls: dict[tuple[str, str], control.ControlNet] = {}
        self._lock = Lock()

    @property
    def provenance(self) -> dict[str, str]:
        """What decides a picture besides its spec: model, machine, number format, kernels, library versions."""
        on_gpu = self._device.type == "cuda"
        return {
            "model": self._files.card.name,
            "checksum": self._files.checksum,
            "device": torch.cuda.get_device_name(self._device) if on_gpu else f"CPU {platform.machine()}",
            "threads": "" if on_gpu else str(torch.get_num_threads()),
            "precision": self._choice.precision,
            "attention": self._kernel,
            "compiled": "yes" if self._compiler.lever.used else "no",
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
        }

    @property
    def levers(self) -> Levers:
        """What became of each speed lever so far."""
        found = Levers.of(self._options)
        said = {"attention": self._attention, "compile": self._compiler.lever, "graphs": self._stepper.lever,
                **self._prompts.levers, **self._decoder.levers}
        for name, lever in said.items():
            found.say(name, lever)
        return found

    def report(self) -> dict[str, str]:
        """What became of each speed lever: used or not, and why."""
        return {name: str(lever) for name, lever in self.levers}

    def gpu_memory(self) -> tuple[int, int] | None:
        """Bytes of the GPU's memory in use, by whomever, and of how many; None on a CPU."""
        if self._device.type != "cuda":
            return None
        free, total = torch.cuda.mem_get_info(self._device)
        return total - free, total

    @property
    def multiple(self) -> int:
        """What render sides are multiples of, in pixels: the transformer reads 2 x 2 latent cells."""
        return self._decoder.factor * PATCH

    def warm_up(self) -> None:
        """Render one small picture, and one for each size to prewarm, so that the first real ones pay for no set-up."""
        side = max(64, self.multiple)
        asked = [self._files.card.render_size(width, height) for width, height in self._options.prewarm]
        sizes = [self.covering(width, height) for width, height in ((side, side), *asked)]
        self._compiler.prewarm([(height // self.multiple, width // self.multiple) for width, height in sizes])
        for width, height in sizes:
            self.render(RenderSpec("warm-up", 0, width, height, width, height, steps=1), lambda step: None)

    def covering(self, width: int, height: int) -> tuple[int, int]:
        """The smallest size the model renders that covers `width` x `height` pixels."""
        step = self.multiple
        return -(-width // step) * step, -(-height // step) * step

    def render(self, spec: RenderSpec, on_step: OnStep) -> Rendered:
        """Render one picture; whatever `on_step` raises stops the render and leaves the engine usable.

        A picture that would not fit into memory is refused, or decoded in tiles. Out of memory all the
        same, the render is tried once more from its first step after the caches are freed. Raises
        RenderError for a size or setting the model can't render, weights that don't fit it, and when
        memory is short.
        """
        check(spec, self._files.card, self._model.config, self.multiple)
        width, height = spec.render_width, spec.render_height
        with self._lock:
            need = memory.predict(
                self._model.config, self._vae, width, height, self._choice.dtype.itemsize,
                encode=spec.image is not None or spec.control is not None)
            fit = memory.Budget.of(self._device, self._options.reserve).require(need, width, height)
            for attempt in range(2):
                try:
                    return self._render(spec, on_step, tiled=fit.tile_decode or attempt > 0)
                except (MemoryError, RuntimeError) as error:
                    if not memory.out_of_memory(error):
                        raise
                # Outside of `except`: the traceback would keep the failed attempt's tensors alive.
                self._free()
        raise RenderError(
            _("There is not enough memory to render %(width)d × %(height)d px."),
            hint=_("Nothing was charged. Choose a smaller format, or ask for it again when less is running."),
            width=width, height=height,
        )

    def _render(self, spec: RenderSpec, on_step: OnStep, *, tiled: bool) -> Rendered:
        clock = _Clock()
        prompt = self._prompts.encode(spec.prompt)
        negative = self._prompts.encode(spec.negative) if spec.guidance else None
        text = clock.lap()
        rows, columns = spec.render_height // self.multiple, spec.render_width // self.multiple
        schedule = Schedule(
            spec.sampler, self._flow, steps=spec.steps, tokens=rows * columns, device=self._device,
            strength=spec.strength if spec.image is not None else 1.0)
        # On the CPU whatever the device: the noise then depends on the seed alone.
        shape = (1, self._model.channels, rows * PATCH, columns * PATCH)
        noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(spec.seed)).to(self._device)
        latents, kept = noise, None
        if spec.image is not None:
            start = self._decoder.latents(spec.image, tiled=tiled)
            latents = schedule.noised(start, noise, 0)
            if spec.mask is not None:
                mask = decoder.to_mask(spec.mask, rows=shape[2], columns=shape[3])
                kept = Kept(start, mask.to(self._device))
        self._loras.use(spec.loras)
        plans = [self._model.prepare([words.embedding], rows=rows, columns=columns, times=schedule.times)
                 for words in (prompt, negative) if words]
        hints = [self._hints(spec, plan, tiled=tiled) for plan in plans]
        guided = Guided(plans[0], plans[1], spec.guidance, *hints) if negative else Guided(plans[0], hints=hints[0])
        prepared = clock.lap()
        steps: list[float] = []

        def after_step(index: int, pixels: torch.Tensor) -> None:
            preview = self._previewer.webp(pixels)
            steps.append(clock.lap())
            on_step(Step(index=index + 1, total=len(schedule), preview=preview))
            if self._device.type == "cpu":
                clock.lap()  # what the listener took is not the model's time; a GPU works on meanwhile

        latents = denoise(
            self._stepper, guided, schedule, latents, noise, kept=kept, previewer=self._previewer,
            after_step=after_step)
        image = self._decoder.picture(latents, tiled=tiled)
        timings: dict[str, float | list[float]] = {
            "text": text, "prepare": prepared, "steps": steps, "decode": clock.lap()}
        if spec.image is not None and spec.mask is not None:
            image = paste_kept(spec.image, image, spec.mask)
        return Rendered(image=image, timings=timings, prompt_tokens=prompt.tokens, truncated=prompt.truncated)

    def _hints(self, spec: RenderSpec, plan: Plan, *, tiled: bool) -> Hints | None:
        """What the control map adds to each step."""
        if spec.control is None:
            return None
        net = self._control(spec.control)
        mask = masked = None
        if net.takes_mask and spec.image is not None and spec.mask is not None:
            pixels = decoder.to_pixels(spec.image)
            mask = decoder.to_mask(spec.mask, rows=pixels.shape[2], columns=pixels.shape[3])
            masked = self._decoder.encode(pixels * (1 - mask), tiled=tiled)
            mask = mask.to(self._device)
        map_latents = self._decoder.latents(spec.control.image, tiled=tiled)
        return net.prepare(net.context(map_latents, mask=mask, masked_latents=masked), plan, spec.control.scale)

    def _control(self, wanted: Control) -> control.ControlNet:
        """The ControlNet that `wanted` names; the last one used stays loaded."""
        key = (str(wanted.weights.path), wanted.weights.sha256)
        if key not in self._controls:
            self._controls.clear()  # before the next is loaded: two may not fit
            self._controls[key] = control.load(wanted.weights, self._model)
        return self._controls[key]

    def _free(self) -> None:
        self._prompts.clear()
        self._stepper.clear()
        self._controls.clear()
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def paste_kept(source: Image.Image, painted: Image.Image, mask: Image.Image) -> Image.Image:
    """`painted` where the mask is white (128 and more), and exactly the pixels of `source` elsewhere."""
    return Image.composite(painted, source.convert("RGB"), mask.convert("L").point(_binary))


def _binary(value: int) -> int:
    return 255 if value >= 128 else 0


class _Clock:
    """Milliseconds between laps. On a GPU the stages end with a copy to the host, which waits for it."""

    def __init__(self) -> None:
        self._last = perf_counter()

    def lap(self) -> float:
        now = perf_counter()
        passed, self._last = (now - self._last) * 1000, now
        return round(passed, 2)
