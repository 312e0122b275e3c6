"""What the studio must know of a model without loading it."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Z-Image works on 2x2 patches of an 8x down-sampled latent: sides are multiples of 16.
MULTIPLE = 16
FAMILIES = ("turbo", "base")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as its folder's `studio.json` describes it.

    `native_side`: the only square side (pixels) the model was trained for, or 0 when it renders
    any size. `max_pixels`: the most pixels it renders at once; larger pictures are resampled.
    `multiple`: what render sides are multiples of, in pixels: 16, or more for a VAE that shrinks more than 8x.
    `family`: one of FAMILIES. `steps` and `guidance` are what it is made for.
    """

    name: str
    demo: bool = False
    native_side: int = 0
    max_pixels: int = 2048 * 2048
    steps: int = 8
    guidance: float = 0.0
    max_tokens: int = 512
    family: str = "turbo"
    multiple: int = MULTIPLE

    @property
    def guides(self) -> bool:
        """Whether guidance and a negative prompt work. Turbo is distilled: it renders with guidance 0 only."""
        return self.family == "base"

    def render_size(self, width: int, height: int, *, from_picture: bool = False) -> tuple[int, int]:
        """The size in pixels (width, height) at which a `width` x `height` picture is rendered.

        Always multiples of `multiple` that cover the picture, so that it is cropped, or, for a model with
        one trained size or a picture over `max_pixels`, resampled to the exact pixels. A render that
        starts `from_picture`, or follows a control map, keeps the shape also with such a model.
        """
        if self.native_side and not from_picture:
            return self.native_side, self.native_side
        scale = min(1.0, math.sqrt(self.max_pixels / (width * height)))
        return self._fit(width * scale), self._fit(height * scale)

    def _fit(self, side: float) -> int:
        # Below 64 px a side the latent has too few patches to make a picture of.
        return max(64, math.ceil(round(side, 6) / self.multiple) * self.multiple)
