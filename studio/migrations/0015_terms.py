"""The words that advertising law forbids, as a list that admins change."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from django.db import migrations

FILE = Path(__file__).parents[1] / "data" / "terms.csv"


def fill(apps: Any, schema_editor: Any) -> None:
    """Put the list in; what is there already stays as people made it."""
    Term = apps.get_model("studio", "Term")
    with FILE.open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    there = set(Term.objects.filter(kit=None).values_list("text", flat=True))
    Term.objects.bulk_create(Term(**row) for row in rows if row["text"] not in there)


class Migration(migrations.Migration):
    """Rows only."""

    dependencies = [("studio", "0014_templates_brands_bulk")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
