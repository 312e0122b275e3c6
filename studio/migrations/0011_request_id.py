"""The request that asked for a batch, as the logs name it."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """One column; batches from before have none."""

    dependencies = [("studio", "0010_share_is_known")]
    operations = [
        migrations.AddField("renderbatch", "request_id", models.CharField(blank=True, default="", max_length=64)),
    ]
