"""Servers and settings of one's own for a benchmark: PostgreSQL and Redis, or SQLite and Redis."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from studio.supervisor.child import Guard
from tests.chaos.servers import PostgreSQL, Redis, postgresql_folder
from tests.stack import OTHERS


@contextmanager
def servers(*, postgresql: bool, step_ms: float = 0) -> Iterator[tuple[Path, Guard]]:
    """Start them, set Django up on them with the sleeping renderer, make the tables. Once per process.

    Raises RuntimeError where PostgreSQL is wanted and absent.
    """
    if postgresql and postgresql_folder() is None:
        raise RuntimeError("PostgreSQL is absent")
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))
        guard = Guard()
        held.callback(guard.close)
        redis = Redis(folder, guard)
        held.callback(redis.stop)
        redis.start()
        for name in (*OTHERS, "MODEL_DIR", "STORAGE"):
            os.environ.pop(name, None)
        os.environ.update({
            "VAR_DIR": str(folder / "v"), "DJANGO_SETTINGS_MODULE": "tests.chaos.settings", "REDIS_URL": redis.url,
            "BROKER_URL": redis.broker_url, "STUDIO_SHAPE": "production" if postgresql else "embedded",
            "HTTPS_ONLY": "False", "LOG_LEVEL": "ERROR", "CHAOS_STEP_MS": str(step_ms), "CHAOS_HINTS": "0",
            "QUEUED_PER_TEAM": "1000000", "QUEUED_PER_PERSON": "1000000"})
        if postgresql:
            database = PostgreSQL(folder, guard)
            held.callback(database.stop)
            database.start()
            os.environ["DATABASE_URL"] = database.url
        import django
        from django.core.management import call_command
        from django.db import connections

        django.setup()
        call_command("migrate", verbosity=0)
        held.callback(connections.close_all)
        yield folder, guard
