"""What rendered a picture, compared with what would render it now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

#: What a recipe says of its engine. Of other names in it, none decides on pixels.
FIELDS = (
    "model", "checksum", "device", "threads", "precision", "attention", "compiled", "torch", "diffusers",
    "transformers")


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not the same; "" where one side does not know it."""

    name: str
    before: str
    now: str


def differences(recipe: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """What of the engine differs between a picture's recipe and `now`: a worker's provenance, or another recipe.

    The names of FIELDS come first, then what else the engines said of themselves. The weights of
    LoRAs and the ControlNet are compared between recipes.
    """
    both = "seed" in now
    more = {*recipe.get("engine", ()), *(now.get("engine", ()) if both else now)} - set(FIELDS)
    found = _unequal([*FIELDS, *sorted(more)], recipe, now)
    if both:
        mine, theirs = _weights(recipe), _weights(now)
        found += _unequal(sorted(mine.keys() | theirs.keys()), mine, theirs)
    return found


def _unequal(names: Iterable[str], before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    pairs = ((name, _text(before.get(name)), _text(now.get(name))) for name in names)
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]


def _weights(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Files that were added to the model, by name, with their checksum."""
    found = {str(lora["name"]): _text(lora.get("sha256")) for lora in recipe.get("loras") or []}
    control = recipe.get("control") or {}
    return found | ({str(control["model"]): _text(control.get("sha256"))} if control.get("model") else {})


def _text(value: object) -> str:
    return "" if value is None else str(value)
