"""The Z-Image render engine on diffusers: one loaded pipeline, one picture at a time."""

from __future__ import annotations

import gc
import platform
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

import diffusers
import torch
import transformers
from diffusers import ZImagePipeline

from studio.domain.errors import RenderError
from studio.domain.i18n import gettext_noop as _
from studio.domain.spec import MAX_STEPS, SAMPLERS, OnStep, Rendered, RenderSpec, Step
from studio.render import loader, samplers
from studio.render.memory import out_of_memory
from studio.render.preview import Previewer, predicted
from studio.render.prompts import PromptEncoder

_PADDING = 32  # the transformer pads captions to multiples of this many tokens


class ZImageRenderer:
    """A `studio.domain.spec.Renderer` for one Z-Image folder.

    The same spec on the same device, dtype and number of threads gives the same bytes.
    """

    provenance: dict[str, str]

    def __init__(
        self,
        model_dir: Path,
        *,
        device: str = "auto",
        threads: int = 0,
        checksum: str = "",
        name: str = "",
        max_tokens: int = 512,
    ) -> None:
        """Load the model onto `device` ("auto", "cpu", "cuda", "cuda:N"); `threads` 0 means all cores.

        `name` and `checksum` go into the provenance. Raises ModelUnusable.
        """
        if threads:
            torch.set_num_threads(threads)
        self._device = loader.choose_device(device)
        dtype = loader.choose_dtype(self._device)
        self._pipe: ZImagePipeline = loader.load_pipeline(Path(model_dir), self._device, dtype)
        limit = self._pipe.transformer.config.axes_lens[0] - _PADDING
        self._prompts = PromptEncoder(
            self._pipe.text_encoder, self._pipe.tokenizer, min(max_tokens, limit), real_tokens=False)
        self._previewer = Previewer(self._pipe)
        self._lock = Lock()
        on_gpu = self._device.type == "cuda"
        self.provenance = {
            "model": name or Path(model_dir).name,
            "checksum": checksum,
            "device": torch.cuda.get_device_name(self._device) if on_gpu else f"CPU {platform.machine()}",
            "threads": "" if on_gpu else str(torch.get_num_threads()),
            "dtype": str(dtype).removeprefix("torch."),
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "transformers": transformers.__version__,
        }

    def warm_up(self) -> None:
        """Render one small picture in one step, so that the first real one pays for no set-up."""
        side = max(64, self._multiple)
        self.render(RenderSpec("warm-up", 0, side, side, side, side, steps=1), lambda step: None)

    def render(self, spec: RenderSpec, on_step: OnStep) -> Rendered:
        """Render one picture; whatever `on_step` raises stops the render and leaves the engine usable.

        Out of memory, the render is tried once more from its first step after the caches are freed.
        Raises RenderError for a size or setting the model can't render, and when memory is short.
        """
        self._check(spec)
        with self._lock:
            try:
                return self._render(spec, on_step)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
            # Outside of `except`: the traceback would keep the failed attempt's tensors alive.
            self._free()
            try:
                return self._render(spec, on_step)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
            self._free()
        raise RenderError(
            _("There is not enough memory to render %(width)d × %(height)d px."),
            hint=_("Nothing was charged. Choose a smaller format, or ask for it again when less is running."),
            width=spec.render_width, height=spec.render_height,
        )

    @property
    def _multiple(self) -> int:
        return int(self._pipe.vae_scale_factor) * 2  # the transformer reads 2 x 2 latent patches

    def _check(self, spec: RenderSpec) -> None:
        # An index outside of the rotary tables would end the process on a GPU.
        _text, rows, columns = self._pipe.transformer.config.axes_lens
        step = self._multiple
        for side, cells in ((spec.render_width, columns), (spec.render_height, rows)):
            if side % step or not step <= side <= cells * step:
                raise RenderError(
                    _("%(width)d × %(height)d px can't be rendered: "
                      "sides must be multiples of %(step)d up to %(high)d."),
                    width=spec.render_width, height=spec.render_height, step=step, high=cells * step,
                )
        if spec.guidance != 0.0 or spec.sampler not in SAMPLERS or not 1 <= spec.steps <= MAX_STEPS:
            raise RenderError(
                _("This model renders with guidance 0, 1 to %(limit)d steps and one of the samplers %(known)s; "
                  "not with %(guidance)s, %(steps)d and %(sampler)s."),
                limit=MAX_STEPS, known=", ".join(SAMPLERS),
                guidance=spec.guidance, steps=spec.steps, sampler=spec.sampler,
            )

    def _render(self, spec: RenderSpec, on_step: OnStep) -> Rendered:
        clock = _Clock()
        prompt = self._prompts.encode(spec.prompt)
        text = clock.lap()
        steps: list[float] = []
        # On the CPU whatever the device: the noise then depends on the seed alone.
        generator = torch.Generator("cpu").manual_seed(spec.seed)
        latents = self._pipe.prepare_latents(
            1, self._pipe.transformer.in_channels, spec.render_height, spec.render_width, torch.float32, self._device,
            generator,
        )

        def after_step(pipe: Any, index: int, _timestep: Any, tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
            nonlocal latents
            # From before the step: a multistep solver mixes older predictions into those after it.
            clean = predicted(latents, tensors["noise_pred"], pipe.scheduler.sigmas[index])
            latents = tensors["latents"]
            preview = self._previewer.webp(clean)
            steps.append(clock.lap())
            on_step(Step(index=index + 1, total=spec.steps, preview=preview))
            clock.lap()  # what the listener took is not the model's time
            return {}

        with samplers.sampling(self._pipe, spec.sampler):
            image = self._pipe(
                prompt_embeds=[prompt.embedding],
                width=spec.render_width,
                height=spec.render_height,
                num_inference_steps=spec.steps,
                guidance_scale=0.0,
                generator=generator,
                latents=latents,
                callback_on_step_end=after_step,
                callback_on_step_end_tensor_inputs=["latents", "noise_pred"],
            ).images[0]
        timings: dict[str, float | list[float]] = {"text": text, "steps": steps, "decode": clock.lap()}
        return Rendered(image=image, timings=timings, prompt_tokens=prompt.tokens, truncated=prompt.truncated)

    def _free(self) -> None:
        self._prompts.clear()
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


class _Clock:
    """Milliseconds between laps. On a GPU the stages end with a copy to the host, which waits for it."""

    def __init__(self) -> None:
        self._last = perf_counter()

    def lap(self) -> float:
        now = perf_counter()
        passed, self._last = (now - self._last) * 1000, now
        return round(passed, 2)
