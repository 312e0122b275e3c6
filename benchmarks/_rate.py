"""Pictures per second through the whole platform, beside plain Celery in the same run: PostgreSQL, Redis, two workers.

The renderer sleeps 0 or 50 ms for a picture of 8 steps and 64 px.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

from benchmarks._own import servers
from studio.supervisor.child import Guard
from tests.chaos.house import House
from tests.chaos.servers import wait
from tests.stack import ROOT

WORKERS, STEPS = 2, 8
PICTURES = {0: 400, 50: 200}
#: At 0 ms; 0.6 pictures a second are 50,000 a day.
TARGET = 40.0


def queue_up(pictures: int) -> float:
    """Ask for so many pictures of three teams; returns requests per second, 8 pictures each."""
    from django.utils import timezone

    from studio.domain.modelcard import ModelCard
    from studio.domain.roles import Role
    from studio.services import renders
    from tests.factories import CampaignFactory, TeamFactory, member_of, render_request

    card = ModelCard("Sleeper", sizes=((64, 64),))  # so that 64 px are rendered, not only delivered
    campaigns = []
    for _ in range(3):
        team = TeamFactory.create(monthly_pictures=100_000)
        campaigns.append(CampaignFactory.create(team=team, created_by=member_of(team, Role.MARKETER)))
    began = time.perf_counter()
    for number in range(pictures // 8):
        campaign = campaigns[number % 3]
        renders.request_render(
            user=campaign.created_by, campaign=campaign, request=render_request(count=8, seed=number, steps=STEPS),
            request_key=uuid4(), card=card, today=timezone.localdate())
    return pictures // 8 / (time.perf_counter() - began)


def ours(folder: Path, guard: Guard, sleep_ms: int) -> tuple[float, float]:
    """(pictures per second, requests per second), from rows and times in the database."""
    from studio.models import RenderJob

    asked = queue_up(PICTURES[sleep_ms])
    mine = RenderJob.objects.order_by("-created_at")[:PICTURES[sleep_ms]].values("pk")
    house = House(folder, guard, {"CHAOS_STEP_MS": str(sleep_ms / STEPS)}, workers=WORKERS, webs=0)
    house.start()
    try:
        wait(lambda: not RenderJob.objects.open().exists(), "all are rendered", 300)
    finally:
        house.close()
    found = RenderJob.objects.filter(pk__in=list(mine.values_list("pk", flat=True)), status="done")
    assert found.count() == PICTURES[sleep_ms]
    return rate([(row.worker, row.finished_at.timestamp()) for row in found if row.finished_at]), asked


def rate(pictures: list[tuple[str, float]]) -> float:
    """Pictures per second while all workers were at work, from (worker, epoch seconds of its end) of each."""
    first: dict[str, float] = {}
    for worker, ended in sorted(pictures, key=lambda one: one[1]):
        first.setdefault(worker, ended)
    began, last = max(first.values()), max(ended for _worker, ended in pictures)
    return sum(ended > began for _worker, ended in pictures) / (last - began)


def plain(folder: Path, sleep_ms: int) -> float:
    """Pictures per second of plain Celery, `delay` with the same payload to as many workers."""
    from benchmarks._plain import render

    made = folder / f"plain-{sleep_ms}"
    made.mkdir()
    for number in range(PICTURES[sleep_ms]):
        render.delay({
            "key": str(uuid4()), "prompt": "a red rose", "seed": number, "width": 64, "height": 64, "steps": STEPS,
            "step_ms": sleep_ms / STEPS, "folder": str(made)})
    workers = [subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "benchmarks._plain", "worker", "-Q", "plain", "--pool", "solo",
         "--without-gossip", "--without-mingle", "-n", f"plain-{number}@localhost"],
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for number in range(WORKERS)]
    try:
        wait(lambda: len(list(made.iterdir())) == PICTURES[sleep_ms], "plain Celery has rendered all", 300)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return rate([(path.name.split(".")[0], path.stat().st_mtime) for path in made.iterdir()])


def main() -> int:
    """Print the table; 1 when the target is missed."""
    with servers(postgresql=True) as (folder, guard):
        print(f"{'':24}{'ours/s':>9}{'plain/s':>9}{'ours / plain':>14}{'requests of 8/s':>17}")
        met = True
        for sleep_ms in PICTURES:
            found, asked = ours(folder, guard, sleep_ms)
            base = plain(folder, sleep_ms)
            met = met and (sleep_ms > 0 or found >= TARGET)
            print(f"a picture takes {sleep_ms:>3} ms {found:>11.1f}{base:>9.1f}{found / base:>14.2f}{asked:>17.1f}")
    print(f"Target {'met' if met else 'MISSED'}: {TARGET:.0f} pictures/s at 0 ms, two workers.")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
