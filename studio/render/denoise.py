"""From noise to finished latents: the loop that every task shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from studio.render.fused import FusedTransformer, Hints, Plan
from studio.render.preview import Previewer, predicted
from studio.render.samplers import Schedule

#: index (0-based), the preview's pixels (uint8 [h, w, 3], in main memory)
AfterStep = Callable[[int, Tensor], None]


class Stepper(Protocol):
    """Runs one step of the model; `FusedTransformer` itself, or its replay from a graph."""

    def velocity(self, latents: Tensor, plan: Plan, step: int, control: Hints | None = None) -> Tensor:
        """As `FusedTransformer.velocity`."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """What inpainting holds: the picture's latents, and where it is painted anew (1) or stays (0), a value a cell."""

    latents: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Guided:
    """The plan of the words, and with guidance that of the words to stay away from."""

    plan: Plan
    negative: Plan | None = None
    guidance: float = 0.0
    hints: Hints | None = None
    negative_hints: Hints | None = None

    def velocity(self, model: Stepper, latents: Tensor, step: int) -> Tensor:
        """The model's output at `step`, led away from the negative words.

        The two run one after the other: their captions may differ in length, and the step is bound by
        arithmetic, so that a batch of two would need a mask and save nothing.
        """
        found = model.velocity(latents, self.plan, step, self.hints)
        if self.negative is None:
            return found
        away = model.velocity(latents, self.negative, step, self.negative_hints)
        return found + self.guidance * (found - away)


@torch.no_grad()
def denoise(
    model: FusedTransformer | Stepper, guided: Guided, schedule: Schedule, latents: Tensor, noise: Tensor, *,
    kept: Kept | None, previewer: Previewer, after_step: AfterStep,
) -> Tensor:
    """Finished latents, fp32, from `latents` at the first noise level of `schedule`.

    `after_step` hears of each step; whatever it raises ends the loop. On a GPU it hears of a step while
    the next one already runs, so that previews and messages cost no idle time: a cancelled
    render frees the GPU within one step.
    """
    waiting: _Shown | None = None
    for index in range(len(schedule)):
        # Schedulers count from the picture to the noise, the model from the noise to the picture.
        velocity = -guided.velocity(model, latents, index)
        # From before the step: a multistep solver mixes older predictions into the latents after it.
        clean = predicted(latents, velocity, float(schedule.sigmas[index]))
        latents = schedule.step(velocity, latents, index)
        if kept is not None:
            held = schedule.noised(kept.latents, noise, index + 1)
            latents = kept.mask * latents + (1 - kept.mask) * held
        shown = _Shown(index, previewer.pixels(clean))
        if waiting is not None:
            waiting.tell(after_step)
        waiting = shown
        if latents.device.type != "cuda":
            waiting.tell(after_step)
            waiting = None
    if waiting is not None:
        waiting.tell(after_step)
    return latents


class _Shown:
    """A step's preview on its way to main memory."""

    def __init__(self, index: int, pixels: Tensor) -> None:
        self._index, self._event = index, None
        self._pixels = pixels
        if pixels.device.type == "cuda":
            self._pixels = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
            self._pixels.copy_(pixels, non_blocking=True)
            self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self._event.record()

    def tell(self, after_step: AfterStep) -> None:
        if self._event is not None:
            self._event.synchronize()
        after_step(self._index, self._pixels)
