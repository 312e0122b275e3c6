"""One run: people ask for pictures, things go wrong, all comes to rest, and everything is counted."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from studio.supervisor.child import Guard
from tests.chaos.house import House
from tests.chaos.line import Line
from tests.chaos.servers import PostgreSQL, RabbitMQ, Redis, wait
from tests.stack import ROOT

if TYPE_CHECKING:
    from tests.chaos.__main__ import Plan
    from tests.chaos.faults import Faults

#: After the last fault everything has to come to rest within this time.
REST_SECONDS = 240.0


def tell(
    *, folder: Path, plan: Plan, seed: int, guard: Guard, redis: Redis, postgresql: PostgreSQL | None,
    rabbitmq: RabbitMQ | None, store: Line | None, disk: Path | None,
) -> int:
    """Run it; print the table. 0 when everything holds, else 1."""
    import django

    subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, check=True)
    django.setup()
    from tests.chaos import checks, people
    from tests.chaos.faults import Faults

    random = Random(seed)
    began = time.monotonic()
    crowd = people.move_in()
    house = House(folder, guard)
    faults = Faults(
        house, random, redis=redis, postgresql=postgresql, rabbitmq=rabbitmq, store=store, disk=disk,
        broker_url=os.environ["BROKER_URL"], away_seconds=plan.away_seconds)
    try:
        house.start()
        asking = people.Requests(
            crowd, house.ports, pictures=plan.pictures, poisoned=plan.poisoned, seconds=plan.seconds,
            random=Random(seed + 1))
        asking.start()
        _let_things_happen(faults, random, plan.seconds)
        asking.join()
        rest = time.monotonic()
        at_rest = _comes_to_rest()
        rested = time.monotonic() - rest
    finally:
        house.close()
    found = [] if at_rest else [f"not at rest after {REST_SECONDS:.0f} s"]
    found += [f"{asking.given_up} requests were never taken"] if asking.given_up else []
    found += checks.wrong(pictures=plan.pictures, poisoned=plan.poisoned)
    for title, counted in (("faults", faults.made), ("processes that ended", house.ended),
                           ("answers to Render", asking.answers), ("jobs", checks.outcome()),
                           ("attempts of a job", checks.attempts())):
        print(f"{title}:")
        for name, number in sorted(counted.items()):
            print(f"  {number:5}  {name}")
    print(f"at rest {rested:.0f} s after the last request; {time.monotonic() - began:.0f} s in all")
    for line in found:
        print(f"WRONG: {line}")
    print("all holds" if not found else f"{len(found)} things do not hold; seed {seed}", flush=True)
    return 1 if found else 0


def _let_things_happen(faults: Faults, random: Random, seconds: float) -> None:
    """Every fault at least once, in any order; killed workers most of all."""
    end = time.monotonic() + seconds
    plan = faults.names()
    random.shuffle(plan)
    while plan or time.monotonic() < end:
        faults.make("worker killed (-9)")
        time.sleep(random.uniform(0.2, 1.5))
        faults.make(plan.pop() if plan else random.choice(faults.names()))
        time.sleep(random.uniform(0.2, 1.5))


def _comes_to_rest() -> bool:
    from django.db import connection
    from django.db.utils import Error

    from studio.models import RenderJob

    def closed() -> bool:
        try:
            return not RenderJob.objects.open().exists()
        except Error:
            connection.close()
            return False

    try:
        wait(closed, "all jobs are closed", REST_SECONDS)
    except RuntimeError:
        return False
    return True
