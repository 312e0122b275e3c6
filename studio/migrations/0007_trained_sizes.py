"""Cards of the registry name the sizes their models were trained for, where they named one square side."""

from __future__ import annotations

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def to_sizes(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """A side in pixels becomes a list of one size, 0 an empty one: any size."""
    ModelEntry = apps.get_model("studio", "ModelEntry")
    for entry in ModelEntry.objects.filter(card__has_key="native_side"):
        side = entry.card.pop("native_side")
        entry.card["sizes"] = [[side, side]] if side else []
        if side:
            # A trained size may not exceed this limit, which a single side was not held against.
            entry.card["max_pixels"] = max(side * side, entry.card.get("max_pixels", 2048 * 2048))
        entry.save(update_fields=["card"])


def to_side(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """The first square is the side that the code before knows; without one any size is rendered."""
    ModelEntry = apps.get_model("studio", "ModelEntry")
    for entry in ModelEntry.objects.filter(card__has_key="sizes"):
        squares = [width for width, height in entry.card.pop("sizes") if width == height]
        entry.card["native_side"] = squares[0] if squares else 0
        entry.save(update_fields=["card"])


class Migration(migrations.Migration):
    """Data only."""

    dependencies = [("studio", "0006_inputs")]
    operations = [migrations.RunPython(to_sizes, to_side)]
