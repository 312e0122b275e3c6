"""The ad-format table as data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

from studio.domain.formats import read_presets

TABLE = Path(__file__).resolve().parent.parent / "data" / "formats.csv"


def load(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Insert every preset, in the table's order."""
    AdFormat = apps.get_model("studio", "AdFormat")
    AdFormat.objects.bulk_create(
        AdFormat(position=place, **asdict(preset)) for place, preset in enumerate(read_presets(TABLE)))


class Migration(migrations.Migration):
    """Data only."""

    dependencies = [("studio", "0001_initial")]
    operations = [migrations.RunPython(load, migrations.RunPython.noop)]
