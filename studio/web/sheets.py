"""Batches and the queue as the studio page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any
from uuid import UUID

from django.db.models import Count, Q

from studio import permissions
from studio.domain.priority import Priority
from studio.domain.states import JobStatus
from studio.models import Activity, AdFormat, Campaign, RenderBatch, RenderJob, User, Worker
from studio.services import dispatch, paces
from studio.web.texts import job_error, job_hint

LANE_SHOWN = 8
#: Place of each queued job, and its wait in words.
Waits = dict[UUID, tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Group:
    """The jobs of one batch in one size."""

    ad_format: AdFormat | None
    width: int
    height: int
    jobs: list[RenderJob]

    @property
    def done(self) -> int:
        """Delivered pictures."""
        return sum(job.status == JobStatus.DONE for job in self.jobs)

    @property
    def shape(self) -> str:
        """How the pictures stand on the sheet: a skyscraper and a banner need columns of their own."""
        ratio = self.width / self.height
        return "tall" if ratio < 0.45 else "slim" if ratio > 3.2 else "wide" if ratio > 1.7 else "even"

    @property
    def key(self) -> str:
        """Names the group in the page."""
        return f"{self.jobs[0].batch_id}-{self.jobs[0].position}"


@dataclass(frozen=True, slots=True)
class Sheet:
    """A batch as the page shows it."""

    batch: RenderBatch
    groups: list[Group]

    @property
    def jobs(self) -> list[RenderJob]:
        """All pictures, in order."""
        return [job for group in self.groups for job in group.jobs]

    @property
    def done(self) -> int:
        """Delivered pictures."""
        return sum(group.done for group in self.groups)

    @property
    def open(self) -> list[RenderJob]:
        """Pictures that are queued or rendering."""
        return [job for job in self.jobs if job.is_open]

    @property
    def movable(self) -> list[RenderJob]:
        """Pictures that wait and are the reader's own: they can go before or behind the reader's others."""
        return [job for job in self.jobs
                if job.status == JobStatus.QUEUED and job.may_move]  # type: ignore[attr-defined]  # set by decorate

    @property
    def status(self) -> str:
        """One state for the head of the batch."""
        if self.open:
            return "running" if self.done or any(job.status == JobStatus.RUNNING for job in self.jobs) else "queued"
        if self.done:
            return "done"
        return "failed" if any(job.status == JobStatus.FAILED for job in self.jobs) else "cancelled"

    @property
    def last_seed(self) -> int:
        """The highest seed used; the first is the batch's."""
        return self.groups[0].jobs[-1].seed if self.groups else self.batch.seed

    @property
    def may_cancel(self) -> permissions.Decision:
        """Whether what is left may be cancelled; as `decorate` found."""
        return next(iter(self.open)).may_cancel  # type: ignore[attr-defined,no-any-return]  # set by decorate


def _jobs(campaign: Campaign) -> Any:
    return RenderJob.objects.filter(campaign=campaign).select_related(
        "batch__requested_by", "ad_format", "asset", "campaign", "team")


def decorate(jobs: list[RenderJob], user: User, waits: Waits) -> list[RenderJob]:
    """Give each job what a tile shows besides the row, such as its `place`, `wait`, `reason`, and `may_cancel`."""
    for job in jobs:
        place(job, waits)
        job.reason = job_error(job)  # type: ignore[attr-defined]  # these are read by _frame.html only
        job.hint = job_hint(job)  # type: ignore[attr-defined]
        job.took = None  # type: ignore[attr-defined]
        if job.started_at and job.finished_at:
            job.took = (job.finished_at - job.started_at).total_seconds() * 1000  # type: ignore[attr-defined]
        if job.is_open:
            job.may_cancel = permissions.decide(user, "render.cancel", job)  # type: ignore[attr-defined]
            job.may_move = permissions.decide(user, "queue.reorder", job)  # type: ignore[attr-defined]
    return jobs


def waiting_times() -> Waits:
    """Place of each queued job, and its wait in words; empty words while nobody renders for it."""
    return {pk: (turn.place, estimate(turn.seconds) if turn.seconds is not None else "")
            for pk, turn in dispatch.turns().items()}


def place(job: RenderJob, waits: Waits) -> None:
    """Give a job its `place` (None when it does not wait, is paused, or waits far back) and its `wait`."""
    job.place, job.wait = waits.get(job.pk, (None, ""))  # type: ignore[attr-defined]  # read by templates only


def estimate(seconds: float) -> str:
    """A guess of a time, no more exact than it is: "0.6 s", "14 s", "3 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def sheets(campaign: Campaign, batches: list[RenderBatch], user: User, waits: Waits) -> list[Sheet]:
    """Batches with their pictures grouped by format, in one query."""
    jobs = decorate(list(_jobs(campaign).filter(batch__in=batches).order_by("batch_id", "position")), user, waits)
    found = []
    for batch in batches:
        mine = [job for job in jobs if job.batch_id == batch.pk]
        groups = [
            Group(members[0].ad_format, members[0].width, members[0].height, members)
            for _key, members in ((key, list(part)) for key, part in groupby(
                mine, key=lambda job: (job.ad_format_id, job.width, job.height)))]
        found.append(Sheet(batch, groups))
    return found


def lane(user: User, waits: Waits) -> dict[str, Any]:
    """Who renders what now, and what waits, over all teams; how many renders are the person's own.

    A job of a team that is not the person's gets `hidden`: only that it is there may be shown.
    """
    workers = list(Worker.objects.live().select_related(
        "job__batch__requested_by", "job__campaign", "job__ad_format"))
    first = sorted(waits, key=lambda pk: waits[pk][0])[:LANE_SHOWN]
    found = RenderJob.objects.select_related("batch__requested_by", "campaign", "ad_format").in_bulk(first)
    waiting = [found[pk] for pk in first if pk in found]
    for job in [*waiting, *(worker.job for worker in workers if worker.job)]:
        place(job, waits)
        job.mine = job.batch.requested_by_id == user.pk  # type: ignore[attr-defined]  # read by _lane.html only
        job.may_move = permissions.decide(user, "queue.reorder", job)  # type: ignore[attr-defined]
        job.hidden = not user.is_superuser and job.team_id not in user.roles  # type: ignore[attr-defined]
    queued = RenderJob.objects.queued() if waits else {}
    count = sum(pictures for pictures, _steps in queued.values())
    pace = paces.of(workers)
    return {"workers": workers, "waiting": waiting, "waiting_count": count, "waiting_more": count - len(waiting),
            "pace": pace, "ahead_ms": _ahead(queued, pace), "mine": mine(user)}


def _ahead(queued: dict[Priority, tuple[int, int]], pace: paces.Pace | None) -> list[int]:
    """For each class, urgent first: milliseconds of the waiting renders that go before a new one, or with it."""
    ms = [pace.ms(pictures=queued[kind][0], steps=queued[kind][1]) if pace and kind in queued else 0
          for kind in Priority]
    return [round(total) for total in accumulate(ms)]


def mine(user: User) -> dict[str, int]:
    """How many renders of the person's own are `open` and theirs to cancel, how many of them `wait`, and in how many
    `campaigns` they are.
    """
    own = RenderJob.objects.open().filter(
        batch__requested_by=user, team__in=permissions.teams_with(user, "render.cancel"))
    return own.aggregate(open=Count("pk"), wait=Count("pk", filter=Q(status=JobStatus.QUEUED)),
                         campaigns=Count("campaign", distinct=True))


def pause(campaign: Campaign) -> dict[str, Any]:
    """Who paused the campaign (None when that is not known) and how many of its pictures wait; empty if it goes on."""
    if campaign.paused_at is None:
        return {}
    line = Activity.objects.filter(campaign=campaign, verb="queue.paused").select_related("actor").order_by("pk").last()
    waiting = RenderJob.objects.filter(campaign=campaign, status=JobStatus.QUEUED).count()
    return {"paused_by": line.actor if line else None, "paused_count": waiting}
