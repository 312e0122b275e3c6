"""Where things stand in each size of picture.

Every picture is 384 px on its shorter side, and a thing alone is 256 px, on the grid of the transformer's patches. So
it is the same sixteen patches in every picture, which is what lets a model this small draw it sharply.
"""

from __future__ import annotations

Size = tuple[int, int]  # width and height in pixels
Box = tuple[int, int, int]  # left, top and side in pixels

_ALONE, _TWO = 256, 192
#: Size -> place -> left and top of each thing.
_CORNERS: dict[Size, dict[str, tuple[tuple[int, int], ...]]] = {
    (384, 384): {"centre": ((64, 64),), "left": ((0, 64),), "right": ((128, 64),), "pair": ((0, 128), (192, 128))},
    (384, 512): {"centre": ((64, 128),), "top": ((64, 64),), "bottom": ((64, 192),), "pair": ((0, 192), (192, 192))},
    (384, 640): {"centre": ((64, 192),), "top": ((64, 64),), "bottom": ((64, 320),), "pair": ((0, 256), (192, 256))},
    (512, 384): {"centre": ((128, 64),), "left": ((64, 64),), "right": ((192, 64),), "pair": ((64, 128), (256, 128))},
    (640, 384): {"centre": ((192, 64),), "left": ((64, 64),), "right": ((320, 64),), "pair": ((64, 64), (320, 64))},
    (896, 384): {"centre": ((320, 64),), "left": ((128, 64),), "right": ((512, 64),), "pair": ((192, 64), (448, 64))},
    (1280, 384): {"centre": ((512, 64),), "left": ((192, 64),), "right": ((832, 64),), "pair": ((384, 64), (640, 64))},
}
#: From this width on, two things are as large as one alone.
_WIDE = 640


def places(size: Size) -> tuple[str, ...]:
    """The places that there are in a picture of `size`."""
    return tuple(_CORNERS[size])


def boxes(size: Size, place: str) -> tuple[Box, ...]:
    """The square box of each thing."""
    side = _TWO if place == "pair" and size[0] < _WIDE else _ALONE
    return tuple((left, top, side) for left, top in _CORNERS[size][place])
