"""What a queue without leases, and one without tokens, does with the same deaths and delays; then ours."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from studio.domain.states import JobStatus
from studio.models import RenderJob
from studio.services import delivery, dispatch, guides, quotas, rendering, upkeep
from tests.conftest import Cast
from tests.factories import job, ledger
from tests.services.fake import FlatRenderer

ERROR = {"code": "storage_failed", "message": "The file storage can't be reached.", "params": {}}


def claimed(name: str) -> RenderJob:
    found = dispatch.claim_next(name)
    assert found is not None
    return found


def _naive_take_back(after: timedelta) -> int:
    """Without leases all that is known is when a job was begun."""
    late = RenderJob.objects.filter(status=JobStatus.RUNNING, started_at__lt=timezone.now() - after)
    return sum(RenderJob.objects.move(one.pk, JobStatus.QUEUED, started_at=None) for one in late)


def begun_a_minute_ago(cast: Cast) -> RenderJob:
    """A render that takes long, and whose worker is well: it has just finished a step."""
    job(cast.campaign)
    taken = claimed("worker-1")
    RenderJob.objects.filter(pk=taken.pk).update(started_at=timezone.now() - timedelta(minutes=1))
    assert rendering.Lease(taken).renew(step=3)
    return taken


def test_without_a_lease_a_slow_render_is_begun_twice(cast: Cast) -> None:
    begun_a_minute_ago(cast)
    assert _naive_take_back(timedelta(seconds=30)) == 1
    assert claimed("worker-2").attempts == 2


def test_with_a_lease_a_slow_render_stays_with_its_worker(cast: Cast) -> None:
    taken = begun_a_minute_ago(cast)
    assert upkeep.take_back() == 0 and dispatch.claim_next("worker-2") is None
    rendering.run_job(taken, FlatRenderer())
    assert ledger(taken) == ["reserve", "settle"]


def test_without_a_lease_the_job_of_a_dead_worker_waits_as_long_as_the_slowest_render_might_take(cast: Cast) -> None:
    """Anything shorter would be the double render above."""
    job(cast.campaign)
    claimed("worker-1")
    assert _naive_take_back(timedelta(minutes=30)) == 0 and dispatch.claim_next("worker-2") is None


def test_with_a_lease_the_job_of_a_dead_worker_is_free_when_that_runs_out(cast: Cast) -> None:
    job(cast.campaign)
    dead = claimed("worker-1")
    RenderJob.objects.filter(pk=dead.pk).update(lease_until=timezone.now())
    assert upkeep.take_back() == 1 and claimed("worker-2").pk == dead.pk


def _naive_fail(mine: RenderJob) -> bool:
    """fail() without the token: any running job of this id will do."""
    with transaction.atomic():
        moved = RenderJob.objects.move(mine.pk, JobStatus.FAILED, finished_at=timezone.now(), error=ERROR)
        if moved:
            quotas.release(mine.pk)
    return moved


def old_and_new(cast: Cast) -> tuple[RenderJob, RenderJob]:
    """The claim of a worker that froze, and of the one that took its job over and renders it now."""
    job(cast.campaign)
    old = claimed("worker-1")
    RenderJob.objects.filter(pk=old.pk).update(lease_until=timezone.now())
    assert upkeep.take_back() == 1
    return old, claimed("worker-2")


def test_without_a_token_the_frozen_worker_ends_its_successors_job(cast: Cast) -> None:
    old, new = old_and_new(cast)
    assert _naive_fail(old) is True
    rendering.run_job(new, FlatRenderer())
    assert ledger(new) == ["reserve", "release"]  # a good picture was thrown away


def test_with_a_token_the_frozen_worker_changes_nothing(cast: Cast) -> None:
    old, new = old_and_new(cast)
    prepared = guides.prepare(old)
    picture = delivery.store(old, prepared, FlatRenderer().render(prepared.spec, lambda step: None), {})
    assert delivery.fail(old, ERROR) is False and delivery.finish(old, picture) is False
    assert rendering.Lease(old).renew() is False
    rendering.run_job(new, FlatRenderer())
    assert ledger(new) == ["reserve", "settle"] and RenderJob.objects.get(pk=new.pk).worker == "worker-2"


@pytest.mark.parametrize("attempts", [1, 2, 3])
def test_a_job_that_ends_its_worker_every_time_fails_after_three(cast: Cast, attempts: int) -> None:
    """The poison job: others go on meanwhile, and its quota comes back."""
    poison = job(cast.campaign, priority=0)
    for number in range(attempts):
        dead = claimed(f"worker-{number}")
        assert dead.pk == poison.pk
        assert upkeep.take_back(worker=f"worker-{number}") == 1
    poison.refresh_from_db()
    assert poison.status == ("failed" if attempts == 3 else "queued")
    assert ledger(poison) == (["reserve", "release"] if attempts == 3 else ["reserve"])
    assert (dispatch.claim_next("worker-9") is None) == (attempts == 3)
