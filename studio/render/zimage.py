"""The Z-Image render engine: one loaded model, one picture at a time."""

from __future__ import annotations

import gc
import platform
from threading import Lock
from time import perf_counter

import diffusers
import torch
import transformers
from PIL import Image

from studio.domain.engine import EngineOptions, ModelFiles
from studio.domain.errors import RenderError
from studio.domain.guides import Control
from studio.domain.i18n import gettext_noop as _
from studio.domain.spec import OnStep, Rendered, RenderSpec, Step
from studio.render import attention, compiling, control, decoder, graphs, loader, memory, precision
from studio.render.checks import check
from studio.render.decoder import Decoder
from studio.render.denoise import Guided, Kept, denoise
from studio.render.fused import PADDING, PATCH, FusedTransformer, Hints, Plan
from studio.render.levers import Levers
from studio.render.lora import LoraSet
from studio.render.preview import Previewer
from studio.render.prompts import PromptEncoder
from studio.render.samplers import Schedule


class ZImageRenderer:
    """A `studio.domain.spec.Renderer` for one Z-Image model.

    The same spec on the same device, precision, levers and number of threads gives the same bytes.
    """

    provenance: dict[str, str]

    def __init__(self, files: ModelFiles, options: EngineOptions | None = None) -> None:
        """Load the model as `options` say. Raises ModelUnusable."""
        options = options or EngineOptions()
        if options.threads:
            torch.set_num_threads(options.threads)
        self._card = files.card
        self._device = loader.choose_device(options.device)
        self.levers = levers = Levers(options.levers_off)
        gpu = precision.Card.of(self._device)
        choice = precision.choose(options.precision, options.default_precision, gpu)
        parts = loader.load(
            files, self._device, choice.dtype,
            text_encoder_device=torch.device("cpu") if choice.offload_text_encoder else None)
        attend, kernel = attention.choose(self._device, choice.dtype, parts.transformer.config, levers)
        self._model = FusedTransformer(parts.transformer, attend=attend)
        self._flow = parts.scheduler
        precision.quantise(self._model, choice.precision)
        compiling.compile_blocks(self._model, options.cache, levers)
        self._stepper = graphs.Steps(self._model, levers)
        limit = self._model.config.axes_lens[0] - PADDING
        self._prompts = PromptEncoder(
            parts.text_encoder, parts.tokenizer, min(files.card.max_tokens, limit), levers=levers)
        self._decoder = Decoder(parts.vae, levers)
        self._previewer = Previewer(parts.vae, self._decoder.factor)
        self._loras = LoraSet(self._model)
        self._controls: dict[tuple[str, str], control.ControlNet] = {}
        self._budget = memory.Budget(self._device, options.reserve, self._model.config, parts.vae.config, choice.dtype)
        self._sizes = options.prewarm
        self._lock = Lock()
        on_gpu = self._device.type == "cuda"
        self.provenance = {
            "model": files.card.name,
            "checksum": files.checksum,
            "device": torch.cuda.get_device_name(self._device) if on_gpu else f"CPU {platform.machine()}",
            "threads": "" if on_gpu else str(torch.get_num_threads()),
            "precision": choice.precision,
            "attention": kernel,
            "compiled": "yes" if levers.used("compile") else "no",
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
        }

    @property
    def multiple(self) -> int:
        """What render sides are multiples of, in pixels: the transformer reads 2 x 2 latent cells."""
        return self._decoder.factor * PATCH

    def warm_up(self) -> None:
        """Render one small picture, and one of each size to prewarm, so that the first real ones pay for no set-up."""
        side = max(64, self.multiple)
        for width, height in ((side, side), *self._sizes):
            covering = self.covering(width, height)
            self.render(RenderSpec("warm-up", 0, width, height, *covering, steps=1), lambda step: None)

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
        check(spec, self._card, self._model.config, self.multiple)
        with self._lock:
            fit = self._budget.plan(spec.render_width, spec.render_height)
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
            width=spec.render_width, height=spec.render_height,
        )

    def _render(self, spec: RenderSpec, on_step: OnStep, *, tiled: bool) -> Rendered:
        clock = _Clock()
        prompt = self._prompts.encode(spec.prompt, self._device)
        negative = self._prompts.encode(spec.negative, self._device) if spec.guidance else None
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
            start = self._decoder.latents(spec.image)
            latents = schedule.noised(start, noise, 0)
            if spec.mask is not None:
                mask = decoder.to_mask(spec.mask, rows=shape[2], columns=shape[3])
                kept = Kept(start, mask.to(self._device))
        self._loras.use(spec.loras)
        plans = [self._model.prepare([words.embedding], rows=rows, columns=columns, times=schedule.times)
                 for words in (prompt, negative) if words]
        hints = [self._hints(spec, plan) for plan in plans]
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

    def _hints(self, spec: RenderSpec, plan: Plan) -> Hints | None:
        """What the control map adds to each step."""
        if spec.control is None:
            return None
        net = self._control(spec.control)
        masked = None
        mask = None
        if spec.image is not None and spec.mask is not None:
            pixels = decoder.to_pixels(spec.image)
            hidden = decoder.to_mask(spec.mask, rows=pixels.shape[2], columns=pixels.shape[3])
            masked = self._decoder.encode(pixels * (1 - hidden))
            mask = decoder.to_mask(spec.mask, rows=masked.shape[2], columns=masked.shape[3]).to(self._device)
        context = net.context(self._decoder.latents(spec.control.image), mask=mask, masked_latents=masked)
        return net.prepare(context, plan, spec.control.scale)

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
