"""Claims per second with a deep queue: 100,000 jobs of 200 teams, two people each. Run for one database at a time."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from typing import Any

from benchmarks._own import servers

TEAMS, PEOPLE, JOBS = 200, 2, 100_000
CLAIMS = 200
CLAIMERS = (1, 8)


def fill() -> None:
    """The queue, made in bulk: no reservations, for nothing of it is ever finished."""
    from django.db import connection

    from studio.models import RenderJob
    from tests.factories import CampaignFactory, TeamFactory, UserFactory, job

    for _ in range(TEAMS):
        team = TeamFactory.create()
        for _ in range(PEOPLE):
            job(CampaignFactory.create(team=team, created_by=UserFactory.create(password="!")), reserved=False)
    # Each person's first one, again and again.
    columns = ", ".join(
        connection.ops.quote_name(str(field.column)) for field in RenderJob._meta.concrete_fields
        if field.name not in ("id", "position"))
    new_id = "gen_random_uuid()" if connection.vendor == "postgresql" else "lower(hex(randomblob(16)))"
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE more(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM more WHERE n < %s) "
            f"INSERT INTO studio_renderjob (id, position, {columns}) "
            f"SELECT {new_id}, more.n, {columns} FROM studio_renderjob CROSS JOIN more", [JOBS // TEAMS // PEOPLE])


def claims(claimers: int) -> tuple[float, float]:
    """Claims per second of so many at once, and the median milliseconds of one."""
    from django.db import connection

    from studio.services import dispatch

    times: list[float] = []
    each = CLAIMS // claimers

    def claim(name: str) -> None:
        for _ in range(each):
            began = time.perf_counter()
            dispatch.claim_next(name)
            times.append((time.perf_counter() - began) * 1000)
        connection.close()

    threads = [threading.Thread(target=claim, args=(f"worker-{n}",)) for n in range(claimers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return each * claimers / (time.perf_counter() - began), statistics.median(times)


def main(database: str) -> int:
    """Print a line for each number of claimers."""
    with servers(postgresql=database == "postgresql"):
        from django.db import connection, transaction

        with transaction.atomic():
            fill()
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        connection.close()  # the pool has one for each claimer
        for claimers in CLAIMERS:
            rate, median = claims(claimers)
            print(f"{database:12}{claimers:>4} claimers{rate:>10.0f} claims/s{median:>10.1f} ms each (median)")
    return 0


if __name__ == "__main__":
    arguments: list[Any] = sys.argv[1:] or ["postgresql"]
    sys.exit(main(arguments[0]))
