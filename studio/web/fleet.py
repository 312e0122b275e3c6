"""The workers and their pools as the workers page shows them to one person."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, Min
from django.utils import timezone

from studio.domain.priority import PRIORITY_LABELS, Priority
from studio.domain.states import JobStatus
from studio.models import Pool, RenderJob, Team, User, Worker


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker, and what may be said of it. `job` is what it renders; `hidden` that of a team not the person's."""

    worker: Worker
    live: bool
    job: RenderJob | None
    hidden: bool
    #: Seconds since its last sign of life.
    age: float

    @property
    def drained(self) -> bool:
        """Free of work, and it stays so."""
        return self.worker.draining and self.job is None

    @property
    def precision(self) -> str:
        """The number format it renders in; empty while that is not known."""
        return str(self.worker.provenance.get("precision", ""))

    @property
    def work_ms(self) -> float:
        """How long its renderer has worked."""
        return self.worker.busy_ms


@dataclass(frozen=True, slots=True)
class Draft:
    """What the form of a pool says; `pk` 0 is a new one. `was`: the teams it had when the form was written."""

    pk: int = 0
    name: str = ""
    priority: str = ""
    teams: frozenset[int] = frozenset()
    was: frozenset[int] = frozenset()
    #: Whether this is what somebody has sent, and was refused.
    refused: bool = False


@dataclass(slots=True)
class PoolRow:
    """A pool, or with None what everybody shares. Teams that the person is not in are only counted."""

    pool: Pool | None
    teams: list[Team] = field(default_factory=list)
    others: int = 0
    workers: list[Worker] = field(default_factory=list)
    waiting: int = 0
    oldest: datetime | None = None
    #: Whether something is bound to it, and no worker is there to take it.
    stuck: bool = False
    draft: Draft = Draft()

    @property
    def priority(self) -> str:
        """The class bound to it, in English words for translation; empty for none."""
        value = self.pool.priority if self.pool else None
        return "" if value is None else PRIORITY_LABELS[Priority(value)]

    @property
    def used(self) -> bool:
        """Whether anything is bound to it or set apart in it."""
        return bool(self.teams or self.others or self.workers or self.priority)


def fleet(user: User, refused: Draft | None = None) -> dict[str, Any]:
    """Workers, pools, and what waits for each; the form of a pool says what was `refused`."""
    rows = _workers(user)
    pools = _pools(user, [row for row in rows if row.live])
    for pool in pools:
        pool.draft = refused if refused and refused.pk == (pool.pool.pk if pool.pool else 0) else _draft(pool)
    live = [row for row in rows if row.live]
    oldest = [pool.oldest for pool in pools if pool.oldest]
    return {
        "rows": rows, "pools": pools, "live_count": len(live), "waiting": sum(pool.waiting for pool in pools),
        "taking_count": sum(_takes(row.worker) for row in live), "oldest": min(oldest, default=None),
        "rendering_count": sum(row.job is not None for row in live), "stuck": [pool for pool in pools if pool.stuck]}


def _draft(row: PoolRow) -> Draft:
    """The pool as it is; of what everybody shares, an empty one."""
    if row.pool is None:
        return Draft()
    teams = frozenset(team.pk for team in row.teams)
    return Draft(row.pool.pk, row.pool.name, "" if row.pool.priority is None else str(row.pool.priority), teams, teams)


def _takes(worker: Worker) -> bool:
    return worker.state != Worker.State.STARTING and not worker.draining


def _workers(user: User) -> list[WorkerRow]:
    """Every worker ever seen, the living ones first."""
    now, live = timezone.now(), set(Worker.objects.live().values_list("pk", flat=True))
    rows = []
    for worker in Worker.objects.select_related(
            "pool", "job__batch__requested_by", "job__campaign", "job__ad_format"):
        job = worker.job if worker.job and worker.job.status == JobStatus.RUNNING and worker.pk in live else None
        rows.append(WorkerRow(
            worker, worker.pk in live, job, job is not None and not _sees(user, job.team_id),
            max(0.0, (now - worker.seen_at).total_seconds())))
    return sorted(rows, key=lambda row: not row.live)


def _sees(user: User, team: int) -> bool:
    return user.is_superuser or team in user.roles


def _pools(user: User, live: list[WorkerRow]) -> list[PoolRow]:
    """The shared one, then the pools by name."""
    shared = PoolRow(None)
    rows = {pool.pk: PoolRow(pool) for pool in Pool.objects.all()}

    def row_of(pk: int | None) -> PoolRow:
        return shared if pk is None else rows.get(pk, shared)  # a pool may come and go between two queries

    owners = {row.pool.priority: pk for pk, row in rows.items() if row.pool and row.pool.priority is not None}
    for team in Team.objects.order_by("slug"):
        row = row_of(team.pool_id)
        if _sees(user, team.pk):
            row.teams.append(team)
        else:
            row.others += 1
    for found in live:
        row_of(found.worker.pool_id).workers.append(found.worker)
    for (team_pool, priority), (count, since) in _waiting().items():
        row = row_of(team_pool or owners.get(priority))  # as `RenderJobQuerySet.for_pool` gives them out
        row.waiting += count
        row.oldest = min(since, row.oldest or since)
    for row in [shared, *rows.values()]:
        # Also those that still load their model will take renders.
        served = any(not worker.draining for worker in row.workers)
        has_teams = bool(row.teams or row.others)
        needed = has_teams and len(owners) < len(Priority) if row is shared else has_teams or bool(row.priority)
        row.stuck = needed and not served
    return [shared, *rows.values()]


def _waiting() -> dict[tuple[int | None, int], tuple[int, datetime]]:
    """How many renders wait and since when, by their team's pool and their class."""
    groups = RenderJob.objects.waiting().order_by().values("team__pool", "priority").annotate(
        count=Count("pk"), since=Min("created_at"))
    return {(group["team__pool"], group["priority"]): (group["count"], group["since"]) for group in groups}
