"""The model as the web knows it: its card, read without loading anything."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from django.conf import settings

from studio import checkpoint
from studio.domain.errors import ModelUnusable
from studio.domain.modelcard import ModelCard


@lru_cache(maxsize=1)
def _read() -> ModelCard:
    return checkpoint.read_card(settings.MODEL_DIR)


def card() -> ModelCard | None:
    """The configured model's card; None while its folder can't be used."""
    try:
        return _read()
    except ModelUnusable:
        return None


def required_card() -> ModelCard:
    """The configured model's card. Raises ModelUnusable while its folder can't be used."""
    return _read()


def tokenizer_file() -> Path:
    """The configured model's `tokenizer.json`; it may be missing."""
    return Path(settings.MODEL_DIR) / "tokenizer" / "tokenizer.json"
