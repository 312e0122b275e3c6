"""The model as the web knows it: its card, read without loading anything."""

from __future__ import annotations

import time
from pathlib import Path

from studio import checkpoint
from studio.domain.engine import ModelFiles
from studio.domain.errors import ModelUnusable
from studio.domain.modelcard import ModelCard
from studio.domain.world import World
from studio.services import models

#: For this long (seconds) a page may show the card of the model before.
FRESH = 2.0
_known: tuple[float, ModelFiles] | None = None


def _read() -> ModelFiles:
    global _known
    known = _known
    if known and time.monotonic() - known[0] < FRESH:
        return known[1]
    found = models.current()
    _known = time.monotonic(), found
    return found


def forget() -> None:
    """Look again at the next question: this process has just changed something."""
    global _known
    _known = None


def card() -> ModelCard | None:
    """The card of the model the studio renders with; None while it can't be used."""
    try:
        return _read().card
    except ModelUnusable:
        return None


def required_card() -> ModelCard:
    """The card of the model the studio renders with. Raises ModelUnusable while it can't be used."""
    return _read().card


def world() -> World | None:
    """What a demo model knows; None for other models, and for a demo model that does not say."""
    try:
        files = _read()
    except ModelUnusable:
        return None
    return checkpoint.read_world(files.folder) if files.card.demo and files.folder else None


def tokenizer_file() -> Path | None:
    """The model's `tokenizer.json`, which may be missing; None while the model can't be used."""
    try:
        return _read().tokenizer_folder / "tokenizer.json"
    except ModelUnusable:
        return None
