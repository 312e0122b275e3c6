"""What the metrics tell: counts by worker, how busy each renderer is, and its GPU's memory."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """A table and columns; they fill with the next picture."""

    dependencies = [("studio", "0011_request_id")]
    operations = [
        migrations.CreateModel("Tally", [
            ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
            ("worker", models.CharField(max_length=80)),
            ("kind", models.CharField(max_length=20)),
            ("label", models.CharField(blank=True, max_length=60)),
            ("le", models.CharField(blank=True, max_length=10)),
            ("count", models.PositiveBigIntegerField(default=0)),
            ("total", models.FloatField(default=0)),
        ], options={"constraints": [
            models.UniqueConstraint(fields=("worker", "kind", "label", "le"), name="tally_counted_in_one_row")]}),
        migrations.AddField("worker", "busy_ms", models.FloatField(default=0)),
        migrations.AddField("worker", "gap_ms", models.FloatField(default=0)),
        migrations.AddField("worker", "gpu_memory_used", models.BigIntegerField(null=True)),
        migrations.AddField("worker", "gpu_memory_total", models.BigIntegerField(null=True)),
    ]
