"""What a picture can start from or be led by besides words: a picture, a mask, a control map, LoRAs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _

if TYPE_CHECKING:
    from PIL.Image import Image


class Task(StrEnum):
    """What is done with the words. A control map can be added to each."""

    TEXT = "text"
    """A picture from words alone."""
    IMAGE = "image"
    """A picture that starts from another one; `strength` says how far it may leave it."""
    INPAINT = "inpaint"
    """A picture of which only the masked part is painted anew."""


class ControlKind(StrEnum):
    """Kinds of maps that the Union ControlNet reads. It takes no mode: the map itself says what it is."""

    CANNY = "canny"
    DEPTH = "depth"
    POSE = "pose"
    HED = "hed"
    MLSD = "mlsd"


class InputRole(StrEnum):
    """What an uploaded picture is for."""

    IMAGE = "image"
    """What a render starts from."""
    MASK = "mask"
    """Where it is painted anew: white."""
    CONTROL = "control"
    """A control map, or the picture whose edges become one."""


STRENGTH, CONTROL_SCALE, LORA_WEIGHT = 0.6, 0.75, 1.0
MIN_STRENGTH = 0.01
MAX_CONTROL_SCALE = 2.0
MAX_LORA_WEIGHT = 2.0  # either sign
MAX_LORAS = 4
MAX_GUIDANCE = 20.0


@dataclass(frozen=True, slots=True)
class StartRequest:
    """The picture (an upload's id) to start from, and the mask of what to paint anew (white), if any.

    Raises Invalid, naming the field, for a strength out of range.
    """

    image: UUID
    mask: UUID | None = None
    strength: float = STRENGTH

    def __post_init__(self) -> None:
        if not MIN_STRENGTH <= self.strength <= 1:  # also refuses NaN
            raise Invalid(_("The strength is a number from %(low)s to 1."), field="strength", low=MIN_STRENGTH)


@dataclass(frozen=True, slots=True)
class ControlRequest:
    """A control map (an upload's id). For canny it is any picture: its edges are computed here.

    Raises Invalid, naming the field, for a scale out of range.
    """

    kind: ControlKind
    image: UUID
    scale: float = CONTROL_SCALE

    def __post_init__(self) -> None:
        if not 0 < self.scale <= MAX_CONTROL_SCALE:
            raise Invalid(_("The control scale is a number above 0, at most %(high)s."),
                          field="control_scale", high=MAX_CONTROL_SCALE)


@dataclass(frozen=True, slots=True)
class LoraRequest:
    """A LoRA of the registry by its name, and how strongly it works.

    Raises Invalid, naming the field, for a weight out of range.
    """

    name: str
    weight: float = LORA_WEIGHT

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and 0 < abs(self.weight) <= MAX_LORA_WEIGHT):
            raise Invalid(_("A LoRA's weight is a number from -%(high)s to %(high)s, and not 0."),
                          field="loras", high=MAX_LORA_WEIGHT)


@dataclass(frozen=True, slots=True)
class Weights:
    """A safetensors file that adds to the model. `sha256` in hex, "" when it was not computed."""

    name: str
    path: Path
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Lora:
    """Weights of a LoRA and how strongly they work."""

    weights: Weights
    weight: float = LORA_WEIGHT


@dataclass(frozen=True, slots=True)
class Control:
    """A ready-made control map, RGB at the render size, and the ControlNet that reads it."""

    weights: Weights
    kind: ControlKind
    image: Image
    scale: float = CONTROL_SCALE
