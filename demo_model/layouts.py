"""Where things stand in each size of picture.

The boxes lie on the grid of the patches wherever the size allows it, and have few different sides. A thing
then is the same few patches in every picture, which is what lets a model this small draw it sharply.
"""

from __future__ import annotations

Size = tuple[int, int]  # width and height in pixels
Box = tuple[int, int, int]  # left, top and side in pixels

_PAIR = "pair"
#: Size -> place -> its boxes.
_BOXES: dict[Size, dict[str, tuple[Box, ...]]] = {
    (512, 512): {
        "centre": ((64, 64, 384),), "left": ((64, 128, 256),), "right": ((192, 128, 256),),
        "top": ((128, 64, 256),), "bottom": ((128, 192, 256),), _PAIR: ((64, 128, 192), (256, 128, 192))},
    (448, 576): {
        "centre": ((64, 128, 320),), "left": ((64, 192, 192),), "right": ((192, 192, 192),),
        "top": ((64, 64, 320),), "bottom": ((64, 192, 320),), _PAIR: ((32, 192, 192), (224, 192, 192))},
    (384, 640): {
        "centre": ((64, 192, 256),), "top": ((64, 64, 256),), "bottom": ((64, 320, 256),),
        _PAIR: ((0, 256, 192), (192, 256, 192))},
    (640, 384): {
        "centre": ((192, 64, 256),), "left": ((64, 64, 256),), "right": ((320, 64, 256),),
        _PAIR: ((64, 64, 256), (320, 64, 256))},
    (576, 448): {
        "centre": ((128, 64, 320),), "left": ((64, 64, 256),), "right": ((256, 64, 256),),
        _PAIR: ((64, 128, 192), (320, 128, 192))},
    (768, 320): {
        "centre": ((256, 32, 256),), "left": ((128, 64, 192),), "right": ((448, 64, 192),),
        _PAIR: ((128, 64, 192), (448, 64, 192))},
    (832, 256): {
        "centre": ((320, 32, 192),), "left": ((128, 32, 192),), "right": ((512, 32, 192),),
        _PAIR: ((192, 32, 192), (448, 32, 192))},
    (1024, 128): {"centre": ((448, 0, 96),), "left": ((192, 0, 96),), "right": ((704, 0, 96),)},
    (192, 704): {"centre": ((32, 256, 128),)},
}
#: The same on a podium, where it needs room below.
_ON_PODIUM: dict[Size, dict[str, tuple[Box, ...]]] = {
    (512, 512): {"centre": ((128, 128, 256),), "left": ((64, 192, 192),), "right": ((256, 192, 192),)},
    (640, 384): {"centre": ((224, 64, 192),), "left": ((64, 64, 192),), "right": ((384, 64, 192),),
                 _PAIR: ((128, 64, 192), (320, 64, 192))},
    (576, 448): {"centre": ((128, 64, 256),)},
    (768, 320): {"centre": ((256, 32, 192),), "left": ((128, 32, 192),), "right": ((448, 32, 192),),
                 _PAIR: ((192, 32, 192), (384, 32, 192))},
    (832, 256): {"centre": ((320, 32, 128),), "left": ((128, 32, 128),), "right": ((576, 32, 128),),
                 _PAIR: ((256, 32, 128), (448, 32, 128))},
    (1024, 128): {"centre": ((448, 0, 64),), "left": ((192, 0, 64),), "right": ((704, 0, 64),)},
}


def places(size: Size) -> tuple[str, ...]:
    """The places that there are in a picture of `size`."""
    return tuple(_BOXES[size])


def boxes(size: Size, place: str, *, podium: bool) -> tuple[Box, ...]:
    """The square box of each thing."""
    return (podium and _ON_PODIUM.get(size, {}).get(place)) or _BOXES[size][place]
