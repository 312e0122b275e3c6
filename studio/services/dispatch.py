"""Which waiting render a worker takes next, and when each one's turn will be.

The order is that of domain/fairness.py: class, then the team and the person with the least virtual time, then age.
`claim_next` finds the first in SQL, `turns` works out all places from the same numbers.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import Count, F, Max, Min, OuterRef, Q, QuerySet, Subquery, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from studio import notify
from studio.domain.fairness import Waiting, in_turn
from studio.domain.spec import run_steps
from studio.domain.states import JobStatus
from studio.models import Campaign, Pool, RenderJob, Share, Team, User, Worker
from studio.models.renders import OWN_ORDER, RenderJobQuerySet
from studio.services import paces

#: Campaigns told that the queue moved; pages of further ones see it at their next refresh.
MOVED_CAMPAIGNS = 50
#: Seconds between two such tellings by one worker: quick renders would else send thousands of them a second.
MOVED_SECONDS = 1.0
#: Jobs of each person that are given a place; for further ones the page shows none.
PLACES = 500


def lease_end() -> datetime:
    """When a lease taken or renewed now runs out."""
    return timezone.now() + timedelta(seconds=settings.LEASE_SECONDS)


def claim_next(worker: str, *, ahead: bool = False) -> RenderJob | None:
    """Take the next job that this worker may render; None when there is none, or when it is being drained.

    `ahead`: it will be rendered in a moment, from `begin` on; if the process dies before, that is no attempt.
    On PostgreSQL rows another worker is taking are skipped; on SQLite writers stand in line.
    """
    pool, draining = Worker.objects.filter(name=worker).values_list("pool", "draining").first() or (None, False)
    if draining:
        return None
    with transaction.atomic(durable=True):
        pk = _first(pool)
        if pk is None or not RenderJob.objects.move(
            pk, JobStatus.RUNNING, lease_token=uuid4(), lease_until=lease_end(), worker=worker,
            attempts=F("attempts") + 1, started_at=None if ahead else timezone.now(), step=0,
        ):
            return None
        job = RenderJob.objects.select_related(
            "batch__source", "batch__mask", "batch__control_input", "campaign", "team", "ad_format").get(pk=pk)
        Team.objects.filter(pk=job.team_id).update(virtual_time=F("virtual_time") + job.cost)
        Share.objects.filter(pk=job.share_id).update(virtual_time=F("virtual_time") + job.cost)
        notify.job_changed(job, JobStatus.RUNNING)
    _tell_that_the_queue_moved()
    return job


def begin(job: RenderJob) -> bool:
    """A job that was claimed ahead is rendered from now on. False: it is not ours any more."""
    job.started_at = timezone.now()
    ours = RenderJob.objects.filter(pk=job.pk, status=JobStatus.RUNNING, lease_token=job.lease_token)
    return ours.update(started_at=job.started_at, lease_until=lease_end()) == 1


def _first(pool: int | None) -> UUID | None:
    """Lock the first job in turn that a worker of `pool` may take and whose team and person may have one more running.

    The head of each person's line is one probe of the index `renderjob_queued`, however long the line is; so the
    conditions on jobs are such that it can answer them without a join.
    """
    shares = Share.objects.all()
    jobs = RenderJob.objects.filter(status=JobStatus.QUEUED).order_by(*OWN_ORDER)
    if paused := list(Campaign.objects.exclude(paused_at=None).values_list("pk", flat=True)):
        jobs = jobs.exclude(campaign__in=paused)
    if pool is None:
        shares = shares.filter(team__pool=None)
        if bound := list(Pool.objects.exclude(priority=None).values_list("priority", flat=True)):
            jobs = jobs.exclude(priority__in=[priority for priority in bound if priority is not None])
    else:
        jobs = jobs.for_pool(pool)
    own = jobs.filter(share=OuterRef("pk"))
    lines = shares.annotate(
        head=Subquery(own.values("priority")[:1]), since=Subquery(own.values("created_at")[:1]),
    ).order_by(F("head").asc(nulls_last=True), "team__virtual_time", "virtual_time", "since", "pk")
    for share, team, head in lines.values_list("pk", "team_id", "head"):
        if head is None:  # nothing waits for this person, nor for those behind
            return None
        if not _may_run(share, team):
            continue
        mine = jobs.filter(share=share).select_for_update(skip_locked=True, of=("self",))
        pk = mine.values_list("pk", flat=True).first()
        if pk is not None:
            return pk
    return None


def _may_run(share: int, team: int) -> bool:
    """Whether the caps on running renders leave room. Exact: claims of one team wait for each other."""
    team_cap, person_cap = settings.RUNNING_PER_TEAM, settings.RUNNING_PER_PERSON
    if not team_cap and not person_cap:
        return True
    Team.objects.select_for_update(no_key=True).get(pk=team)
    running = RenderJob.objects.filter(team=team, status=JobStatus.RUNNING).aggregate(
        team=Count("pk"), person=Count("pk", filter=Q(share=share)))
    return (not team_cap or running["team"] < team_cap) and (not person_cap or running["person"] < person_cap)


_told_at = -MOVED_SECONDS


def _tell_that_the_queue_moved() -> None:
    """Tell the campaigns whose pages show a place in the queue that has just moved up, now and then."""
    global _told_at
    now = time.monotonic()
    if now - _told_at < MOVED_SECONDS:
        return
    _told_at = now
    notify.queue_moved(waiting_campaigns())


def waiting_campaigns() -> set[int]:
    """Campaigns whose pages show a place in the queue that may have moved."""
    queued = RenderJob.objects.filter(status=JobStatus.QUEUED)
    return set(queued.order_by().values_list("campaign_id", flat=True).distinct()[:MOVED_CAMPAIGNS])


def join(team: Team, user: User) -> Share:
    """The person's share, ready for new jobs; inside the caller's transaction, whose posts in this team wait in line.

    Who had nothing waiting begins at the least virtual time of those who have: time without work can't be saved up.
    """
    Team.objects.select_for_update(no_key=True).get(pk=team.pk)
    share, _made = Share.objects.get_or_create(team=team, user=user)
    waiting = RenderJob.objects.waiting().order_by()
    if not waiting.filter(share=share).exists():
        others = Share.objects.filter(team=team).exclude(pk=share.pk)
        _begin_at(Share.objects.filter(pk=share.pk), _floor(others, others.filter(jobs__in=waiting)))
    if not waiting.filter(team=team).exists():
        teams = Team.objects.exclude(pk=team.pk)
        _begin_at(Team.objects.filter(pk=team.pk), _floor(teams, teams.filter(jobs__in=waiting)))
    return share


def _floor(everybody: QuerySet[Any], active: QuerySet[Any]) -> float:
    """The least virtual time of the active ones; where nobody is, the most that was ever reached."""
    least: float | None = active.aggregate(time=Min("virtual_time"))["time"]
    if least is not None:
        return least
    most: float | None = everybody.aggregate(time=Max("virtual_time"))["time"]
    return most or 0.0


def _begin_at(row: QuerySet[Any], floor: float) -> None:
    row.filter(virtual_time__lt=floor).update(virtual_time=floor)


def rejoin(paused: RenderJobQuerySet) -> None:
    """Before paused jobs count again: those who had nothing else waiting have saved nothing up meanwhile."""
    for share in Share.objects.filter(jobs__in=paused).select_related("team", "user").distinct():
        join(share.team, share.user)


@dataclass(frozen=True, slots=True)
class Turn:
    """A queued job's place (1-based) in its pool over all teams, and the seconds until it is probably done.

    None for the seconds: no worker takes renders of that pool now.
    """

    place: int
    seconds: float | None


def turns() -> dict[UUID, Turn]:
    """Place and estimate of the waiting jobs, PLACES of each person, in the order in which they will be taken."""
    own = Window(RowNumber(), partition_by=F("share_id"), order_by=[F(name) for name in OWN_ORDER])
    rows = list(RenderJob.objects.waiting().annotate(own=own).filter(own__lte=PLACES).order_by("own").values(
        "pk", "team_id", "share_id", "priority", "created_at", "render_width", "render_height", "batch__steps",
        "batch__strength", "team__pool", "team__virtual_time", "share__virtual_time"))
    if not rows:
        return {}
    owners = {priority: pk for pk, priority in Pool.objects.exclude(priority=None).values_list("pk", "priority")}
    waiting: dict[int | None, list[Waiting]] = defaultdict(list)
    sizes: dict[UUID, tuple[int, int, int]] = {}
    for row in rows:
        steps = run_steps(row["batch__steps"], row["batch__strength"])
        size = sizes[row["pk"]] = row["render_width"], row["render_height"], steps
        pool = row["team__pool"] or owners.get(row["priority"])
        waiting[pool].append(Waiting(
            row["pk"], row["team_id"], row["share_id"], row["priority"], row["created_at"],
            size[0] * size[1] * steps / 2**20, row["team__virtual_time"], row["share__virtual_time"]))
    ready = list(Worker.objects.taking())
    found: dict[UUID, Turn] = {}
    for pool, jobs in waiting.items():
        found |= _places(in_turn(jobs), sizes, [worker for worker in ready if worker.pool_id == pool])
    return found


def _places(
    jobs: Iterator[Waiting], sizes: dict[UUID, tuple[int, int, int]], workers: list[Worker],
) -> dict[UUID, Turn]:
    pace = paces.of(workers) or paces.UNKNOWN
    found: dict[UUID, Turn] = {}
    until = 0.0  # ms that one worker needs for the queue so far
    for place, job in enumerate(jobs, start=1):
        width, height, steps = sizes[job.key]
        own = pace.picture(width, height, steps)
        until += own
        # The queue up to here over all workers, and once more for what is being rendered now.
        found[job.key] = Turn(place, (until / len(workers) + own) / 1000 if workers else None)
    return found
