"""What a step and the rest of a picture take, so that waits can be told for any number of steps."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Columns only; they fill with the next picture."""

    dependencies = [("studio", "0003_sampler_and_steps")]
    operations = [
        migrations.AddField("worker", "step_ms", models.FloatField(default=0)),
        migrations.AddField("worker", "rest_ms", models.FloatField(default=0)),
    ]
