"""What to render: one frozen, validated value that crosses every layer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from studio.domain.errors import Invalid
from studio.domain.formats import MAX_SIDE, MIN_SIDE
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
    prompt: str = field(init=False)

    def __post_init__(self) -> None:
        put = object.__setattr__  # frozen: the cleaned text replaces the typed text once, here
        put(self, "prompt_zh", clean_prompt(self.prompt_zh, field="prompt_zh"))
        put(self, "prompt_en", clean_prompt(self.prompt_en, field="prompt_en"))
        put(self, "prompt", join_prompts(self.prompt_zh, self.prompt_en))
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
    renders (multiples of 16).
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

    provenance: dict[str, str]
    """What rendered: model name and checksum, device, dtype, library versions."""

    def render(self, spec: RenderSpec, on_step: OnStep) -> Rendered:
        """Render one picture; `on_step` is called after each step and may raise RenderCancelled.

        Raises RenderError when the model fails in a known way (out of memory, size not possible).
        """
        ...
