"""What a model says of itself: the `studio.json` beside its parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from studio.checkpoint.problems import read_object, wrong_value
from studio.domain.errors import ModelUnusable
from studio.domain.formats import MAX_SIDE
from studio.domain.i18n import gettext_noop as _
from studio.domain.modelcard import FAMILIES, MIN_SIDE, ModelCard
from studio.domain.spec import MAX_STEPS

CARD = "studio.json"
_MOST_SIZES = 64
#: Cards of models that bring none.
DEFAULTS = {
    "turbo": ModelCard(name="Z-Image-Turbo"),
    "base": ModelCard(name="Z-Image", family="base", steps=28, guidance=4.0),
}


def card_in(folder: Path, family: str = "") -> ModelCard:
    """The card in `folder`, or the family's own when there is none. Raises ModelUnusable for a wrong field."""
    if not (folder / CARD).exists():
        return DEFAULTS[family or "turbo"]
    return _card(folder / CARD, family)


def card_from(found: dict[str, Any], path: Path) -> ModelCard:
    """A card of these fields. Raises ModelUnusable naming `path` and the field."""
    known = {f.name for f in fields(ModelCard)}
    for name in found:
        if name not in known:
            raise ModelUnusable(_("%(path)s has an unknown field “%(name)s”."), path=path, name=name)
    if "name" not in found:
        raise ModelUnusable(_("%(path)s has no usable entry “%(name)s”."), path=path, name="name")
    for name, value in found.items():
        if not _right(name, value):
            raise wrong_value(path, name)
    card, sizes = ModelCard(**found | {"sizes": ()}), found.get("sizes", ())
    if not _right_sizes(sizes, card):
        raise wrong_value(path, "sizes")
    return replace(card, sizes=tuple((width, height) for width, height in sizes))


def _card(path: Path, family: str) -> ModelCard:
    found = read_object(path)
    if family and family != found.get("family", "turbo"):
        default = DEFAULTS[family]
        found = {"steps": default.steps, "guidance": default.guidance} | found | {"family": family}
    return card_from(found, path)


def _right(name: str, value: object) -> bool:
    """Whether `value` is of the field's type and within its limits; `_right_sizes` says more of sizes."""
    if name == "sizes":
        return isinstance(value, list | tuple)
    if name == "name":
        return isinstance(value, str) and 0 < len(value.strip()) <= 100
    if name == "demo":
        return isinstance(value, bool)
    if name == "family":
        return value in FAMILIES
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if name == "guidance":
        return math.isfinite(value) and 0 <= value <= 20
    if not isinstance(value, int):
        return False
    if name == "multiple":
        return value in (16, 32, 64)
    low, high = {"max_pixels": (64 * 64, 8192 * 8192), "steps": (1, MAX_STEPS), "max_tokens": (1, 1504)}[name]
    return low <= value <= high


def _right_sizes(sizes: Sequence[Any], card: ModelCard) -> bool:
    """Whether `sizes` are different pairs of sides, in pixels, that a model with the rest of `card` can render."""
    for size in sizes:
        if not isinstance(size, list | tuple) or len(size) != 2:
            return False
        if not all(type(side) is int and MIN_SIDE <= side <= MAX_SIDE and side % card.multiple == 0 for side in size):
            return False
        if size[0] * size[1] > card.max_pixels:
            return False
    return len({tuple(size) for size in sizes}) == len(sizes) <= _MOST_SIZES
