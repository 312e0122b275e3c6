"""A batch's sampler and number of steps are held to what the engine knows."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Constraints only."""

    dependencies = [("studio", "0002_formats")]
    operations = [
        migrations.AddConstraint(
            "renderbatch",
            models.CheckConstraint(condition=models.Q(steps__range=(1, 50)), name="batch_steps_in_range")),
        migrations.AddConstraint(
            "renderbatch",
            models.CheckConstraint(
                condition=models.Q(sampler__in=("euler", "dpmpp_2m", "unipc")), name="batch_sampler_is_known")),
    ]
