"""What the studio must know of a model without loading it."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Z-Image works on 2x2 patches of an 8x down-sampled latent: sides are multiples of 16.
MULTIPLE = 16


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as its folder's `studio.json` describes it.

    `native_side`: the only square side (pixels) the model was trained for, or 0 when it renders
    any size. `max_pixels`: the most pixels it renders at once; larger pictures are resampled.
    """

    name: str
    demo: bool = False
    native_side: int = 0
    max_pixels: int = 2048 * 2048
    steps: int = 8
    guidance: float = 0.0
    max_tokens: int = 512

    def render_size(self, width: int, height: int) -> tuple[int, int]:
        """The size in pixels (width, height) at which a `width` x `height` picture is rendered.

        Always multiples of 16 that cover the picture, so that it is cropped, or, for a model with
        one trained size or a picture over `max_pixels`, resampled to the exact pixels.
        """
        if self.native_side:
            return self.native_side, self.native_side
        scale = min(1.0, math.sqrt(self.max_pixels / (width * height)))
        return _fit(width * scale), _fit(height * scale)


def _fit(side: float) -> int:
    # Below 64 px a side the latent has too few patches to make a picture of.
    return max(64, math.ceil(round(side, 6) / MULTIPLE) * MULTIPLE)
