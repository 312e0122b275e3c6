"""The model that is shipped is the one that this code trains, and small enough to lie beside it."""

from __future__ import annotations

import json
from pathlib import Path

from demo_model import export, scenes
from studio import checkpoint

SHIPPED = Path(__file__).resolve().parents[2] / "models" / "z-image-demo"


def test_the_shipped_model_is_of_this_code() -> None:
    """Its words and its sizes are the code's, and it is small enough to be kept beside the code."""
    card = checkpoint.verify(SHIPPED)
    assert set(card.sizes) == set(scenes.SIZES)
    assert json.loads((SHIPPED / "world.json").read_text(encoding="utf-8")) == export.world()
    assert sum(file.stat().st_size for file in SHIPPED.rglob("*") if file.is_file()) <= 40e6
