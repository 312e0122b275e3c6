"""How many pictures of each format a campaign needs: the plain many-to-many becomes a model of its own."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """The table stays, and gets a count of 1."""

    dependencies = [("studio", "0012_tallies")]
    operations = [
        migrations.SeparateDatabaseAndState(state_operations=[
            migrations.CreateModel("CampaignFormat", [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("campaign", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="needs", to="studio.campaign")),
                ("adformat", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="needs", to="studio.adformat")),
            ], options={"db_table": "studio_campaign_formats", "unique_together": {("campaign", "adformat")}}),
            migrations.AlterField("campaign", "formats", models.ManyToManyField(
                blank=True, related_name="campaigns", through="studio.CampaignFormat", to="studio.adformat")),
        ]),
        migrations.AlterUniqueTogether("campaignformat", set()),
        migrations.AddField("campaignformat", "count", models.PositiveIntegerField(default=1)),
        migrations.AddConstraint("campaignformat", models.UniqueConstraint(
            fields=["campaign", "adformat"], name="campaignformat_once_a_campaign")),
        migrations.AddConstraint("campaignformat", models.CheckConstraint(
            condition=models.Q(count__gte=1), name="campaignformat_counts_from_1")),
    ]
