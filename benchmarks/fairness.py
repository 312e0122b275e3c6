"""One team queues 500 pictures, another one 5 a minute later: how many jobs the 5 wait for, beside a plain FIFO.

The claims are the real ones (services/dispatch.py) on PostgreSQL; the renders between them are not: each takes a
virtual 2 s, so a minute is 30 renders, and the numbers are the same on every machine. Then the same with 20 teams.
Target: each of the 5 waits for no more than 3 other jobs after its turn could have come.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from uuid import UUID, uuid4

from benchmarks._own import servers
from tests.chaos.servers import postgresql_folder

CROWD, FEW, MINUTE = 500, 5, 30
TARGET = 3


def ask(teams: int, pictures: int) -> list[UUID]:
    """Each of so many new teams asks for so many pictures, up to 8 in a request; their ids, newest last."""
    from django.utils import timezone

    from studio.domain.roles import Role
    from studio.domain.spec import MAX_COUNT
    from studio.models import Campaign, RenderJob
    from studio.services import models, renders
    from tests.factories import CampaignFactory, TeamFactory, member_of, render_request

    card = models.current().card
    found: list[UUID] = []
    for _ in range(teams):
        team = TeamFactory.create(monthly_pictures=100_000)
        person = member_of(team, Role.MARKETER)
        campaign = CampaignFactory.create(team=team, created_by=person)
        for done in range(0, pictures, MAX_COUNT):
            batch = renders.request_render(
                user=person, campaign=Campaign.objects.get(pk=campaign.pk), request_key=uuid4(), card=card,
                request=render_request(count=min(MAX_COUNT, pictures - done)), today=timezone.localdate())
            found += list(RenderJob.objects.filter(batch=batch).values_list("pk", flat=True))
    return found


def fair() -> UUID | None:
    """Ours: claim, and be done with it."""
    from django.utils import timezone

    from studio.domain.states import JobStatus
    from studio.models import RenderJob
    from studio.services import dispatch

    job = dispatch.claim_next("worker-1")
    if job is None:
        return None
    RenderJob.objects.move(job.pk, JobStatus.CANCELLED, finished_at=timezone.now())
    return job.pk


def fifo() -> UUID | None:
    """The oldest first."""
    from django.utils import timezone

    from studio.domain.states import JobStatus
    from studio.models import RenderJob

    job = RenderJob.objects.filter(status=JobStatus.QUEUED).order_by("created_at").first()
    if job is None:
        return None
    RenderJob.objects.move(job.pk, JobStatus.CANCELLED, finished_at=timezone.now())
    return job.pk


def waits(claim: Callable[[], UUID | None], crowds: int) -> list[int]:
    """Jobs of others that were taken before each of the few, since the one before it was (or since they came)."""
    from django.utils import timezone

    from studio.domain.states import JobStatus
    from studio.models import RenderJob

    RenderJob.objects.open().update(status=JobStatus.CANCELLED, finished_at=timezone.now())
    ask(crowds, CROWD // crowds)
    for _ in range(MINUTE):
        claim()
    few, others = set(ask(1, FEW)), 0
    found: list[int] = []
    while len(found) < FEW:
        taken = claim()
        assert taken is not None, "the few are still in the queue"
        if taken in few:
            found.append(others)
            others = 0
        else:
            others += 1
    return found


def main() -> int:
    """Print the numbers; 1 when the target is missed."""
    if postgresql_folder() is None:
        print("PostgreSQL is absent: run on SQLite.")
    with servers(postgresql=postgresql_folder() is not None):
        print("jobs of others before each of the 5, and before the last of them in all")
        first: list[int] = []
        for crowds in (1, 20):
            for name, claim in (("FIFO", fifo), ("fair", fair)):
                found = waits(claim, crowds)
                print(f"  {CROWD} jobs of {crowds:>2} other teams, {name}: {', '.join(map(str, found))}; {sum(found)}")
                if crowds == 1 and name == "fair":
                    first = found
        met = max(first) <= TARGET
        print(f"Target {'met' if met else 'MISSED'}: at most {TARGET} jobs of the other team before each.")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
