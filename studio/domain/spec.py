"""What to render: one frozen, validated value that crosses every layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from studio.domain.errors import Invalid
from studio.domain.formats import MAX_SIDE, MIN_SIDE
from studio.domain.guides import (
    MAX_GUIDANCE,
    MAX_LORAS,
    Control,
    ControlRequest,
    Lora,
    LoraRequest,
    StartRequest,
    Task,
)
from studio.domain.i18n import gettext_noop as _
from studio.domain.prompting import clean_prompt, join_prompts

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_SEED = 2**32 - 1
MAX_COUNT = 8  # pictures per format in one request
MAX_PICTURES = 64  # pictures in one request
MAX_STEPS = 50
STEPS = 8
#: Name -> as people know it, in every language.
SAMPLER_LABELS = {"euler": "Euler", "dpmpp_2m": "DPM++ 2M", "unipc": "UniPC"}
SAMPLERS = tuple(SAMPLER_LABELS)
#: What the checkpoints are made for.
SAMPLER = "euler"


@dataclass(frozen=True, slots=True)
class Target:
    """One exact picture size to deliver, in pixels. `format_key` is empty for a custom size."""

    format_key: str
    width: int
    height: int

    def __post_init__(self) -> None:
        for name, side in (("width", self.width), ("height", self.height)):
            if not MIN_SIDE <= side <= MAX_SIDE:
                raise Invalid(
                    _("%(side)d px is not a size that can be rendered: use %(low)d to %(high)d px a side."),
                    field=name, side=side, low=MIN_SIDE, high=MAX_SIDE,
                )
        if max(self.width, self.height) > 16 * min(self.width, self.height):
            raise Invalid(_("This size is too narrow: one side may be at most 16 times the other."), field="width")


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """What a person asks for: `count` pictures in each of `targets`, seeds counting up from `seed`.

    Raises Invalid, naming the field, for anything that cannot be rendered.
    """

    prompt_zh: str
    prompt_en: str
    targets: tuple[Target, ...]
    count: int
    seed: int
    steps: int = STEPS
    sampler: str = SAMPLER
    guidance: float = 0.0
    negative: str = ""
    start: StartRequest | None = None
    control: ControlRequest | None = None
    loras: tuple[LoraRequest, ...] = ()
    prompt: str = field(init=False)

    def __post_init__(self) -> None:
        put = object.__setattr__  # frozen: the cleaned text replaces the typed text once, here
        put(self, "prompt_zh", clean_prompt(self.prompt_zh, field="prompt_zh"))
        put(self, "prompt_en", clean_prompt(self.prompt_en, field="prompt_en"))
        put(self, "prompt", join_prompts(self.prompt_zh, self.prompt_en))
        put(self, "negative", clean_prompt(self.negative, field="negative"))
        if not self.targets:
            raise Invalid(_("Choose at least one format."), field="formats")
        if not 1 <= self.count <= MAX_COUNT:
            raise Invalid(_("Ask for 1 to %(limit)d pictures per format."), field="count", limit=MAX_COUNT)
        if not 0 <= self.seed <= MAX_SEED:
            raise Invalid(_("The seed is a whole number from 0 to %(limit)d."), field="seed", limit=MAX_SEED)
        if not 1 <= self.steps <= MAX_STEPS:
            raise Invalid(_("A picture takes 1 to %(limit)d steps."), field="steps", limit=MAX_STEPS)
        if self.sampler not in SAMPLERS:
            raise Invalid(_("There is no sampler called “%(value)s”."), field="sampler", value=self.sampler)
        if not (math.isfinite(self.guidance) and 0 <= self.guidance <= MAX_GUIDANCE):
            raise Invalid(_("Guidance is a number from 0 to %(high)s."), field="guidance", high=MAX_GUIDANCE)
        if len(self.loras) > MAX_LORAS:
            raise Invalid(_("At most %(limit)d LoRAs work together."), field="loras", limit=MAX_LORAS)
        if len({lora.name for lora in self.loras}) < len(self.loras):
            raise Invalid(_("Each LoRA can be chosen once."), field="loras")
        if self.pictures > MAX_PICTURES:
            raise Invalid(_("One request renders at most %(limit)d pictures."), field="count", limit=MAX_PICTURES)

    @property
    def pictures(self) -> int:
        """Pictures this request renders, which is also what it costs."""
        return self.count * len(self.targets)

    def seed_of(self, index: int) -> int:
        """The seed of picture `index` (0-based) within its format; wraps at MAX_SEED."""
        return (self.seed + index) % (MAX_SEED + 1)


@dataclass(frozen=True, slots=True)
class RenderSpec:
    """One picture to render: the engine's whole input. Sizes in pixels.

    `width` x `height` is what is delivered; `render_width` x `render_height` is what the model
    renders (multiples of 16). `image` (RGB) is what the picture starts from, `mask` (L, white is
    painted anew) makes that inpainting; both at the render size. `guidance` 0 means none, and then
    `negative` has no effect; otherwise prediction = positive + guidance x (positive - negative).
    """

    prompt: str
    seed: int
    width: int
    height: int
    render_width: int
    render_height: int
    steps: int = STEPS
    guidance: float = 0.0
    sampler: str = SAMPLER
    negative: str = ""
    image: Image | None = None
    mask: Image | None = None
    strength: float = 1.0
    control: Control | None = None
    loras: tuple[Lora, ...] = ()

    @property
    def task(self) -> Task:
        """What is done with the words."""
        if self.image is None:
            return Task.TEXT
        return Task.IMAGE if self.mask is None else Task.INPAINT

    @property
    def run_steps(self) -> int:
        """The steps that are really run: a start from a picture skips the first ones, by its strength."""
        return run_steps(self.steps, self.strength if self.image is not None else 1.0)


def run_steps(steps: int, strength: float) -> int:
    """How many of `steps` a start at `strength` runs, at least one. As diffusers' image-to-image counts."""
    return max(1, steps - int(max(steps - steps * strength, 0)))


@dataclass(frozen=True, slots=True)
class Step:
    """One finished denoising step. `index` is 1-based; `preview` is a small WebP, or empty."""

    index: int
    total: int
    preview: bytes = b""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished render: an RGB image at the render size, and milliseconds by stage.

    `timings` keys: `text`, `steps` (a list, one per step), `decode`.
    """

    image: Image
    timings: dict[str, float | list[float]]
    prompt_tokens: int
    truncated: bool

    @property
    def step_ms(self) -> list[float]:
        """Milliseconds of each step."""
        found = self.timings["steps"]
        return found if isinstance(found, list) else [found]


OnStep = Callable[[Step], None]


class Renderer(Protocol):
    """A loaded model. One per process; not safe for threads."""

    @property
    def provenance(self) -> dict[str, str]:
        """What rendered: model name and checksum, device, precision, library versions."""
        ...

    def render(self, spec: RenderSpec, on_step: OnStep) -> Rendered:
        """Render one picture; `on_step` is called after each step and may raise RenderCancelled.

        Raises RenderError when the model fails in a known way (out of memory, size not possible).
        """
        ...


class Engine(Renderer, Protocol):
    """A renderer as the worker loads it: `settings.RENDERER`, called with ModelFiles and EngineOptions."""

    def warm_up(self) -> None:
        """Render something, so that the first real picture pays for no set-up."""
        ...

    def report(self) -> dict[str, str]:
        """What became of each speed lever, in plain English."""
        ...
