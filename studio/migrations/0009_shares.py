"""Every job belongs to the share of who asked for it."""

from __future__ import annotations

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def give_shares(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """One share for each pair of team and person that ever asked for a picture."""
    RenderJob, Share = apps.get_model("studio", "RenderJob"), apps.get_model("studio", "Share")
    jobs = RenderJob.objects.filter(share=None)
    for team, user in list(jobs.order_by().values_list("team_id", "batch__requested_by_id").distinct()):
        share, _made = Share.objects.get_or_create(team_id=team, user_id=user)
        jobs.filter(team_id=team, batch__requested_by_id=user).update(share=share)


class Migration(migrations.Migration):
    """Data only: PostgreSQL alters no table in the transaction that changed its rows."""

    dependencies = [("studio", "0008_dispatch")]
    operations = [migrations.RunPython(give_shares, migrations.RunPython.noop)]
