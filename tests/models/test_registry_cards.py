"""Cards that the registry stored before sizes were listed are those of today's code."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from studio import checkpoint
from tests.factories import model_entry

pytestmark = pytest.mark.django_db
MIGRATION = import_module("studio.migrations.0007_trained_sizes")
OLD: dict[str, Any] = {"name": "Registered", "max_pixels": 512 * 512, "multiple": 32}


@pytest.mark.parametrize(("side", "sizes", "max_pixels"), [
    (256, ((256, 256),), 512 * 512), (0, (), 512 * 512), (1024, ((1024, 1024),), 1024 * 1024),
])
def test_a_stored_side_becomes_sizes_and_back(side: int, sizes: Any, max_pixels: int) -> None:
    entry, lora = model_entry(card=OLD | {"native_side": side}), model_entry(
        "lora", kind="lora", layout="files", family="", card={})
    MIGRATION.to_sizes(apps, connection.schema_editor())
    entry.refresh_from_db()
    card = checkpoint.card_from(entry.card, Path("registered"))
    assert (card.sizes, card.max_pixels, card.multiple) == (sizes, max_pixels, 32)
    MIGRATION.to_side(apps, connection.schema_editor())
    entry.refresh_from_db()
    lora.refresh_from_db()
    assert entry.card == OLD | {"native_side": side, "max_pixels": max_pixels} and lora.card == {}


def test_of_several_sizes_the_code_before_gets_the_square() -> None:
    entry = model_entry(card=OLD | {"sizes": [[512, 384], [512, 512]]})
    MIGRATION.to_side(apps, connection.schema_editor())
    entry.refresh_from_db()
    assert entry.card == OLD | {"native_side": 512}
