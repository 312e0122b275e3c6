"""What a training picture shows, drawn at random; and the sizes that the model learns."""

from __future__ import annotations

import random
from dataclasses import dataclass
from zlib import crc32

from demo_model import layouts
from demo_model.layouts import Size
from demo_model.words import GROUNDS, STYLES, THINGS, usual_ground

#: Width and height in pixels, and how often each is drawn. Multiples of 64 px (32 for the VAE, 2 for the patches).
SIZES: dict[Size, float] = {
    (384, 384): .28,  # 1:1
    (384, 512): .22,  # 3:4, 4:5
    (384, 640): .15,  # 9:16, 2:3, 1:4
    (512, 384): .06,  # 5:4, 4:3
    (640, 384): .16,  # 16:9, 1.91:1
    (896, 384): .09,  # 2.35:1
    (1280, 384): .04,  # 3.2:1 to 8:1
}
CELL = 32  # pixels of a cell of the latents
PATCH = 2 * CELL  # of what the transformer sees as one
#: One in so many combinations of thing, ground and style is never trained on, so that they can be asked for.
HELD_OUT = 12
_PLACE_SHARES = {"centre": .56, "pair": .26, "left": .08, "right": .08, "top": .05, "bottom": .05}
#: Of the styles, in their order.
_STYLE_SHARES = (.42, .22, .16, .20)


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture. `things`, `ground` and `style` are indices into the lists of `words`; `seed` decides the rest.

    `said`: whether a caption names the colour and the style. Without a colour it is the thing's usual one; without
    both, and without `known`, when the caption is about something that the model has no word for, a studio.
    """

    things: tuple[int, ...]
    ground: int
    style: int
    place: str
    size: Size
    seed: int
    says_colour: bool = True
    says_style: bool = True
    known: bool = True


def is_held_out(thing: int, ground: int, style: int) -> bool:
    """Whether this combination is kept for the test: the same ones on every machine."""
    key = f"{THINGS[thing].code} {GROUNDS[ground].key} {STYLES[style].key}"
    return crc32(key.encode()) % HELD_OUT == 0


def draw(rng: random.Random, size: Size | None = None) -> Scene:
    """A random scene of the training set, of `size` (width, height in pixels) or a size drawn by its share."""
    while True:
        scene = _any(rng, size or rng.choices(list(SIZES), list(SIZES.values()))[0])
        if not any(is_held_out(thing, scene.ground, scene.style) for thing in scene.things):
            return scene


def _any(rng: random.Random, size: Size) -> Scene:
    places = {place: _PLACE_SHARES[place] for place in layouts.places(size)}
    place = rng.choices(list(places), list(places.values()))[0]
    things = tuple(rng.sample(range(len(THINGS)), 2 if place == "pair" else 1))
    style = rng.choices(range(len(STYLES)), _STYLE_SHARES)[0]
    ground, says_colour, says_style = rng.randrange(len(GROUNDS)), True, True
    if rng.random() < .10:
        ground, says_colour = usual_ground(things[0]), False
        if rng.random() < .6:
            style, says_style = 0, False
    known = place == "pair" or rng.random() > .035
    return Scene(things, ground, style, place, size, rng.randrange(1 << 30), says_colour, says_style, known)
