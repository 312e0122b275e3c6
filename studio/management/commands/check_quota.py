"""Recompute the quota counters from the ledger and say where they differ."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from studio.services import quotas


class Command(BaseCommand):
    """`manage.py check_quota`: exit code 1 and one line per difference."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare."""
        found = quotas.mismatches()
        if found:
            raise CommandError("\n".join(found))
        self.stdout.write("Quota counters and ledger agree.")
