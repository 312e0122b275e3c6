from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from studio.domain.errors import Forbidden
from studio.domain.states import JobStatus
from studio.models import Activity, RenderJob
from studio.services import quotas, renders
from tests.conftest import Cast
from tests.factories import BatchFactory, balance, job, ledger


def fresh(row: RenderJob) -> RenderJob:
    return RenderJob.objects.select_related("batch", "campaign").get(pk=row.pk)


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.RUNNING])
def test_an_open_job_is_cancelled_and_costs_nothing(
    cast: Cast, status: JobStatus, events: list[Any], django_capture_on_commit_callbacks: Any,
) -> None:
    mine = job(cast.campaign, status=status)
    with django_capture_on_commit_callbacks(execute=True):
        assert renders.cancel(user=cast.marketer, jobs=[fresh(mine)]) == 1
    found = fresh(mine)
    assert found.status == "cancelled" and found.finished_at is not None and found.finished_at <= timezone.now()
    assert found.lease_token is None and found.lease_until is None
    assert ledger(mine) == ["reserve", "release"] and balance(cast.team) == (0, 0) and quotas.mismatches() == []
    assert [(topic, e["type"], e.get("status")) for topic, e in events] == [
        (f"campaign.{cast.campaign.pk}", "job.changed", "cancelled"),
        (f"campaign.{cast.campaign.pk}", "queue.moved", None), ("workers", "queue.moved", None)]
    assert Activity.objects.get().data == {"batch": 1, "pictures": 1}


@pytest.mark.parametrize("status", [JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_closed_job_is_left_alone(cast: Cast, status: JobStatus) -> None:
    closed = job(cast.campaign, status=status)
    before = ledger(closed)
    assert renders.cancel(user=cast.marketer, jobs=[fresh(closed)]) == 0
    assert fresh(closed).status == status and ledger(closed) == before and not Activity.objects.exists()


def test_what_is_left_of_a_batch_is_cancelled_in_one_line(cast: Cast) -> None:
    batch = BatchFactory.create(campaign=cast.campaign)
    jobs = [job(cast.campaign, batch=batch, status=s) for s in ("done", "running", "queued", "queued")]  # type: ignore[arg-type]
    assert renders.cancel(user=cast.marketer, jobs=[fresh(j) for j in jobs]) == 3
    assert balance(cast.team) == (0, 1) and Activity.objects.get().data["pictures"] == 3


def test_a_marketer_cannot_cancel_what_somebody_else_asked_for(cast: Cast) -> None:
    batch = BatchFactory.create(campaign=cast.campaign, requested_by=cast.admin)
    mine, others = job(cast.campaign), job(cast.campaign, batch=batch)
    with pytest.raises(Forbidden, match="somebody else's"):
        renders.cancel(user=cast.marketer, jobs=[fresh(mine), fresh(others)])
    assert fresh(mine).status == fresh(others).status == "queued"  # not even one's own


@pytest.mark.parametrize("who", ["reviewer", "admin", "superuser"])
def test_reviewers_and_admins_cancel_for_others(cast: Cast, who: str) -> None:
    assert renders.cancel(user=cast.person(who), jobs=[fresh(job(cast.campaign))]) == 1


@pytest.mark.parametrize("who", ["viewer", "stranger"])
def test_viewers_and_strangers_cancel_nothing(cast: Cast, who: str) -> None:
    mine = job(cast.campaign, by=cast.person(who))
    with pytest.raises(Forbidden):
        renders.cancel(user=cast.person(who), jobs=[fresh(mine)])
    assert fresh(mine).status == "queued"


def test_cancelling_twice_releases_once(cast: Cast) -> None:
    mine = fresh(job(cast.campaign))
    assert [renders.cancel(user=cast.marketer, jobs=[mine]) for _ in range(2)] == [1, 0]
    assert balance(cast.team) == (0, 0)
