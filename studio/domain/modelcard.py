"""What the studio must know of a model without loading it."""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Z-Image works on 2x2 patches of an 8x down-sampled latent: sides are multiples of 16.
MULTIPLE = 16
FAMILIES = ("turbo", "base")
#: Below this many pixels a side the latent has too few patches to make a picture of.
MIN_SIDE = 64
#: Width and height.
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model as its folder's `studio.json` describes it.

    `sizes`: the sizes (width, height) in pixels that the model was trained for; empty when it renders any.
    `max_pixels`: the most pixels it renders at once; larger pictures are resampled.
    `multiple`: what render sides are multiples of, in pixels: 16, or more for a VAE that shrinks more than 8x.
    `family`: one of FAMILIES. `steps` and `guidance` are what it is made for.
    """

    name: str
    demo: bool = False
    sizes: tuple[Size, ...] = ()
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

    def render_size(self, width: int, height: int, *, from_picture: bool = False) -> Size:
        """The size in pixels (width, height) at which a `width` x `height` picture is rendered.

        Of a model's trained sizes the one nearest in shape, and of two as near the larger. A model without them,
        and a render that starts `from_picture` or follows a control map, keeps the shape in multiples of
        `multiple`: where less than 16 pixels a side have to be cropped at the size that covers the picture, and
        else, also for a picture over `max_pixels`, at a size from which it is resampled to the exact pixels.
        """
        if self.sizes and not from_picture:
            return min(self.sizes, key=lambda size: (round(_apart(size, (width, height)), 9), -size[0] * size[1]))
        covering = self._covering(width), self._covering(height)
        rim = max(covering[0] - width, covering[1] - height)
        if rim < MULTIPLE and covering[0] * covering[1] <= self.max_pixels:
            return covering
        return self._near(width, height)

    def renders(self, width: int, height: int, *, from_picture: bool = False) -> bool:
        """Whether the model renders at just this size (pixels), such as that of an earlier picture."""
        if self.sizes and not from_picture:
            return (width, height) in self.sizes
        return width % self.multiple == height % self.multiple == 0

    def _covering(self, side: int) -> int:
        return max(MIN_SIDE, math.ceil(side / self.multiple) * self.multiple)

    def _near(self, width: int, height: int) -> Size:
        """The size within `max_pixels` that is nearest in shape and, less important, in number of pixels.

        A tenth more pixels weighs as much as a shape that is off by 1 %, a tenth fewer twice as much.
        """
        if height > width:
            long, short = self._near(height, width)
            return short, long
        step, least = self.multiple, self._covering(MIN_SIDE)
        pixels = min(width * height, self.max_pixels)

        def cost(size: Size) -> float:
            more = math.log(size[0] * size[1] / pixels)
            return _apart(size, (width, height)) + max(0.1 * more, -0.2 * more)

        found = []
        for high in range(least, math.isqrt(self.max_pixels * height // width) + step + 1, step):
            exact = high * width / height / step
            for wide in (math.floor(exact) * step, math.ceil(exact) * step):
                if wide >= least and wide * high <= self.max_pixels:
                    found.append((wide, high))
        return min(found, key=cost, default=(least, least))


def _apart(one: Size, other: Size) -> float:
    """How far two shapes are from each other: 0 for the same, log 2 for twice as wide or twice as high."""
    return abs(math.log(one[0] * other[1] / (one[1] * other[0])))
