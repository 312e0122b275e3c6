"""Rendering a finished picture once more: what to expect before, what came of it after."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from studio.domain.provenance import Difference, differences
from studio.models import Asset
from studio.services import workers

#: What people call the parts of a provenance; others, such as library names, are called as they are.
LABELS = {"model": _("Model"), "checksum": _("model checksum"), "device": _("Device"), "threads": _("CPU threads"),
          "precision": _("Precision"), "attention": _("Attention kernel"), "compiled": _("Compiled blocks")}
_SHOWN = 12  # characters of a checksum


def forecast(asset: Asset) -> dict[str, Any]:
    """Before: whether anything is `known` of what renders now, and what of it differs."""
    now = workers.provenance()
    return {"known": bool(now), "differences": texts(differences(asset.recipe, now)) if now else []}


def outcome(asset: Asset) -> dict[str, Any] | None:
    """After: how this picture, a repeat, compares with the one it repeats; None for no repeat."""
    first = asset.job.batch.again_of
    if first is None:
        return None
    before, now = first.recipe.get("pixels"), asset.recipe.get("pixels")
    return {"first": first, "comparable": bool(before and now), "same": bool(before) and before == now,
            "differences": texts(differences(first.recipe, asset.recipe))}


def texts(found: list[Difference]) -> list[str]:
    """"torch 2.13.0 → 2.14.0"."""
    return [f"{gettext(LABELS[one.name]) if one.name in LABELS else one.name} "
            f"{_short(one.before)} → {_short(one.now)}" for one in found]


def _short(text: str) -> str:
    if not text:
        return gettext("unknown")
    return text[:_SHOWN] if len(text) == 64 else text
