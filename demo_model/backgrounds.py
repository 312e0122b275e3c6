"""The four backgrounds. Each comes in a few variants, drawn by the scene's seed, so that four pictures differ."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demo_model.words import Colour

Floats = NDArray[np.float32]

_RAYS = 12


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a thing stands: the middle of its foot and the side of its box, in pixels."""

    x: float
    foot: float
    side: float


@lru_cache(maxsize=16)
def _plane(width: int, height: int) -> tuple[Floats, Floats]:
    """x and y in pixels, [height, width] each."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x, y


def background(
    style: str, light: Colour, deep: Colour, width: int, height: int, spots: Sequence[Spot], rng: random.Random,
) -> Floats:
    """[height, width, 3] sRGB in 0..1: `style` in the tones from `light` to `deep`, made for things at `spots`."""
    paint = {"studio": _studio, "podium": _podium, "bokeh": _bokeh, "sunburst": _sunburst}[style]
    tones = _tone(light), _tone(deep)
    return paint(tones, width, height, spots, rng)


Tones = tuple[Floats, Floats]


def _tone(colour: Colour) -> Floats:
    return (np.asarray(colour) / 255).astype(np.float32)


def _mix(tones: Tones, depth: NDArray[np.floating[Any]]) -> Floats:
    light, deep = tones
    return (light + (deep - light) * depth[..., None]).astype(np.float32)


def _studio(tones: Tones, width: int, height: int, spots: Sequence[Spot], rng: random.Random) -> Floats:
    x, y = _plane(width, height)
    variant = rng.randrange(3)
    if variant == 0:
        return _mix(tones, y / height)
    if variant == 1:
        return _mix(tones, np.clip(np.hypot((x / width - .5) * 1.1, y / height - .4) * 1.35, 0, 1))
    return _mix(tones, np.clip(.15 + .45 * x / width + .45 * y / height, 0, 1))


def _podium(tones: Tones, width: int, height: int, spots: Sequence[Spot], rng: random.Random) -> Floats:
    x, y = _plane(width, height)
    light, deep = tones
    left = min(spot.x - spot.side * .58 for spot in spots)
    right = max(spot.x + spot.side * .58 for spot in spots)
    side = spots[0].side
    top, middle, radius = max(spot.foot for spot in spots) - side * .03, (left + right) / 2, (right - left) / 2
    flat = side * .10  # half the height of the podium's ellipse
    canvas = _mix(tones, .30 * y / height)
    if rng.random() < .5:  # a round window of light behind
        away = np.hypot(x - middle, y - (top - side * .5))
        window = .75 * np.clip((side * .66 - away) / 2, 0, 1)[..., None]
        canvas += (np.minimum(light * 1.06 + .04, 1) - canvas) * window
    floor = np.clip((y - (top - flat * .6)) / 3, 0, 1)[..., None]
    canvas += (light * .62 + deep * .38 - canvas) * floor
    across = (x - middle) / radius
    inside = np.clip((1 - np.abs(across)) * radius + .5, 0, 1)
    bow = flat * np.sqrt(np.clip(1 - across * across, 0, 1))
    body = inside * np.clip(y - top + .5, 0, 1) * np.clip(top + side * .13 + bow - y + .5, 0, 1)
    shade = .74 + .26 * np.cos(np.clip(across + .35, -1.4, 1.4))
    canvas += ((light * .30 + deep * .70) * shade[..., None] - canvas) * body[..., None]
    lid = np.clip((1 - np.hypot(across, (y - top) / flat)) * flat + .5, 0, 1)[..., None]
    canvas += (np.minimum(light * .9 + .09, 1) - canvas) * lid
    return canvas


def _bokeh(tones: Tones, width: int, height: int, spots: Sequence[Spot], rng: random.Random) -> Floats:
    x, y = _plane(width, height)
    light, _deep = tones
    canvas = _mix(tones, np.clip(.3 + .8 * np.hypot(x / width - .5, y / height - .45), 0, 1))
    unit = float(np.sqrt(width * height))
    for _ in range(rng.randint(8, 11)):
        radius, cx, cy = rng.uniform(.035, .10) * unit, rng.random() * width, rng.random() * height
        strength = rng.uniform(.22, .50)
        left, right = max(0, int(cx - radius - 2)), min(width, int(cx + radius + 3))
        top, bottom = max(0, int(cy - radius - 2)), min(height, int(cy + radius + 3))
        area = (slice(top, bottom), slice(left, right))
        disc = np.clip((radius - np.hypot(x[area] - cx, y[area] - cy)) / 2.5 + .5, 0, 1) * strength
        canvas[area] += (light * .5 + .5 - canvas[area]) * disc[..., None]
    return canvas


def _sunburst(tones: Tones, width: int, height: int, spots: Sequence[Spot], rng: random.Random) -> Floats:
    x, y = _plane(width, height)
    light, deep = tones
    cx = sum(spot.x for spot in spots) / len(spots)
    cy = sum(spot.foot - spot.side * .5 for spot in spots) / len(spots)
    away = np.hypot(x - cx, y - cy)
    wave = np.sin(np.arctan2(y - cy, x - cx) * _RAYS)  # always the same rays: between two kinds a model draws bent ones
    ray = np.clip(wave * away / _RAYS * .5 + .5, 0, 1)
    canvas = _mix((light * .88 + deep * .12, light * .42 + deep * .58), ray)
    glow = np.clip(1 - away / (rng.choice((.55, .8)) * min(width, height)), 0, 1)[..., None]
    canvas += (np.minimum(light * 1.05, 1) - canvas) * glow * .65
    return canvas
