"""Paints a scene: a background of a style, and one or two things standing on it."""

from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from demo_model.backgrounds import Floats, Spot, background
from demo_model.layouts import boxes
from demo_model.scenes import Scene
from demo_model.words import GROUNDS, STYLES, THINGS

Pixels = NDArray[np.uint8]

class Painter:
    """Paints scenes with the pictures in `folder`, 256 px a side with an alpha channel, named by code point."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sized = lru_cache(maxsize=4096)(self._draw_thing)

    def paint(self, scene: Scene) -> Pixels:
        """The picture, [height, width, 3] sRGB in 0..255."""
        width, height = scene.size
        rng = random.Random(scene.seed)
        style, ground = STYLES[scene.style], GROUNDS[scene.ground]
        sprites, spots = [], []
        for thing, (left, top, side) in zip(scene.things, boxes(scene.size, scene.place), strict=True):
            sprite = self._sized(thing, side)
            spare = side - sprite.shape[0]
            # On a podium everything stands; elsewhere something flat, like sunglasses, hangs in the middle.
            y = top + (spare if style.key == "podium" else spare - spare // 3)
            x = left + (side - sprite.shape[1]) // 2
            sprites.append((sprite, x, y))
            spots.append(Spot(left + side / 2, float(y + sprite.shape[0]), float(side)))
        canvas = background(style.key, ground.light, ground.deep, width, height, spots, rng)
        for sprite, x, y in sprites:
            shade = _shadow(int(sprite.shape[1] * .8) // 8 * 8, max(4, int(sprite.shape[0] * .085)))
            _lay(canvas, None, shade * .32, x + (sprite.shape[1] - shade.shape[1]) // 2,
                 y + sprite.shape[0] - shade.shape[0] // 2 - 2)
        for sprite, x, y in sprites:
            _lay(canvas, sprite[..., :3], sprite[..., 3], x, y)
        return (np.clip(canvas, 0, 1) * 255 + .5).astype(np.uint8)

    def _draw_thing(self, thing: int, side: int) -> Floats:
        """[h, w, 4], premultiplied, the longer side `side` px, with an outline as sharp as at its own size."""
        code = THINGS[thing].code
        file = next(file for name in (code, f"{code}-fe0f") if (file := self._folder / f"{name}.webp").exists())
        with Image.open(file) as opened:
            picture = opened.convert("RGBA")
        box = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 24)).getbbox()
        picture = picture.crop(box)
        scale = side / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        pixels = np.asarray(picture, np.float32) / 255
        alpha = pixels[..., 3]
        colours = [np.asarray(Image.fromarray(pixels[..., c] * alpha).resize(size, Image.Resampling.LANCZOS))
                   for c in range(3)]
        smooth = np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.LANCZOS))
        sharp: Floats = np.clip((smooth - .5) * max(1.0, 1.5 * scale) + .5, 0, 1)
        solid = np.clip(np.stack(colours, -1) / np.maximum(smooth, .05)[..., None], 0, 1)
        return np.concatenate([solid * sharp[..., None], sharp[..., None]], -1).astype(np.float32)


@lru_cache(maxsize=512)
def _shadow(width: int, height: int) -> Floats:
    pad = max(6, height)
    picture = Image.new("L", (max(8, width) + 2 * pad, height + 2 * pad), 0)
    ImageDraw.Draw(picture).ellipse((pad, pad, pad + max(8, width), pad + height), fill=255)
    soft = picture.filter(ImageFilter.GaussianBlur(max(2.0, height / 3)))
    return (np.asarray(soft, np.float32) / 255).astype(np.float32)


def _lay(canvas: Floats, colour: Floats | None, alpha: Floats, x: int, y: int) -> None:
    """Lay premultiplied `colour`, or black, over `canvas` at (x, y), cut at its edges."""
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + alpha.shape[1], canvas.shape[1]), min(y + alpha.shape[0], canvas.shape[0])
    if right <= left or bottom <= top:
        return
    part = (slice(top - y, bottom - y), slice(left - x, right - x))
    canvas[top:bottom, left:right] *= 1 - alpha[part][..., None]
    if colour is not None:
        canvas[top:bottom, left:right] += colour[part]
