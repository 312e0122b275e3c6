"""Compile the translations without gettext's own programs."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Compiles every locale/*/LC_MESSAGES/*.po to .mo, where the .mo is missing or older."
    requires_system_checks = ()

    def handle(self, *args: object, **options: object) -> None:
        sources = sorted(po for folder in settings.LOCALE_PATHS for po in Path(folder).glob("*/LC_MESSAGES/*.po"))
        for po in sources:
            mo = po.with_suffix(".mo")
            if not mo.exists() or mo.stat().st_mtime_ns < po.stat().st_mtime_ns:
                compile_catalogue(po, mo)


def compile_catalogue(po: Path, mo: Path) -> None:
    """Write `mo` from `po`, at once or not at all. Raises CommandError naming the file and line of a mistake."""
    import polib  # only needed when a catalogue has changed

    try:
        catalogue = polib.pofile(str(po), encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{po} can't be compiled: {error}") from error
    # Processes of several starts may compile at once: each writes its own file, the last one stays.
    fresh = mo.with_name(f"{mo.name}.{os.getpid()}")
    try:
        catalogue.save_as_mofile(str(fresh))
        fresh.replace(mo)
    finally:
        fresh.unlink(missing_ok=True)
