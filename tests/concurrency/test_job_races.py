"""Jobs under races: claimed once, finished once, one outcome each."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from studio.domain.states import JobStatus
from studio.models import Asset, RenderJob
from studio.services import delivery, dispatch, guides, quotas, rendering, renders, upkeep
from tests.concurrency.race import kinds, race
from tests.conftest import Cast
from tests.factories import BatchFactory, balance, job, ledger
from tests.services.fake import FlatRenderer

THREADS = 8


def fresh(row: RenderJob) -> RenderJob:
    return RenderJob.objects.select_related("batch", "campaign__team", "team", "ad_format").get(pk=row.pk)


def claim_all(name: str) -> list[Any]:
    """As a worker does: take jobs until none is left. A worker that was beaten to one looks again."""
    taken = []
    while RenderJob.objects.filter(status=JobStatus.QUEUED).exists():
        found = dispatch.claim_next(name)
        if found is not None:
            taken.append(found.pk)
    return taken


def test_every_job_is_claimed_once(cast: Cast) -> None:
    batch = BatchFactory.create(campaign=cast.campaign)
    jobs = {job(cast.campaign, batch=batch).pk for _ in range(30)}
    results = race(*(partial(claim_all, f"worker-{n}") for n in range(THREADS)))
    taken = Counter(pk for result in results if isinstance(result, list) for pk in result)
    assert kinds(results) == {"ok": THREADS} and taken == Counter(jobs)
    assert set(RenderJob.objects.values_list("attempts", "status")) == {(1, "running")}
    assert RenderJob.objects.values("lease_token").distinct().count() == 30


def _naive_claim(name: str) -> Any:
    """Read the next job, then mark it: what claim_next() would be without its compare-and-set."""
    found = RenderJob.objects.filter(status=JobStatus.QUEUED).order_by("created_at").first()
    if found is None:
        return None
    time.sleep(0.1)
    found.status, found.worker, found.lease_until = JobStatus.RUNNING, name, timezone.now()
    found.lease_token = found.pk
    found.save()
    return found.pk


def test_the_race_for_jobs_is_real(cast: Cast) -> None:
    """With a naive claim two workers take the same job: the test above can fail."""
    for _ in range(2):
        job(cast.campaign)
    taken = race(*(partial(_naive_claim, f"worker-{n}") for n in range(4)))
    assert max(Counter(pk for pk in taken if pk is not None).values()) > 1


def test_a_slow_worker_and_its_successor_deliver_one_picture(cast: Cast) -> None:
    mine = job(cast.campaign)
    old = dispatch.claim_next("worker-1")
    RenderJob.objects.filter(pk=mine.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    upkeep.take_back()
    new = dispatch.claim_next("worker-2")
    assert old is not None and new is not None
    results = race(*(partial(rendering.run_job, claim, FlatRenderer()) for claim in (old, new)))
    assert kinds(results) == {"ok": 2}
    assert fresh(mine).worker == "worker-2" and Asset.objects.count() == 1
    assert ledger(mine) == ["reserve", "settle"] and balance(cast.team) == (0, 1)


def test_one_claim_finished_by_eight_threads_charges_once(cast: Cast) -> None:
    mine = job(cast.campaign)
    claim = dispatch.claim_next("worker-1")
    assert claim is not None
    picture = delivery.store(claim, guides.prepare(claim), FlatRenderer().render(claim.spec(), lambda step: None), {})
    results = race(*(partial(delivery.finish, claim, picture) for _ in range(THREADS)))
    assert sorted(map(str, results)) == ["False"] * 7 + ["True"]
    assert Asset.objects.count() == 1 and ledger(mine) == ["reserve", "settle"] and balance(cast.team) == (0, 1)


@pytest.mark.parametrize("attempt", range(5))
def test_cancelling_and_finishing_at_once_has_one_outcome(cast: Cast, attempt: int) -> None:
    mine = job(cast.campaign)
    claim = dispatch.claim_next("worker-1")
    assert claim is not None
    picture = delivery.store(claim, guides.prepare(claim), FlatRenderer().render(claim.spec(), lambda step: None), {})
    seen, marketer = fresh(mine), cast.person("marketer")
    results = race(
        partial(delivery.finish, claim, picture), partial(renders.cancel, user=marketer, jobs=[seen]),
        partial(delivery.fail, claim, {"code": "x", "message": "x", "params": {}}),
        partial(upkeep.take_back, worker="worker-1"))
    assert kinds(results) == {"ok": 4}
    found = fresh(mine)
    # Taken back means queued; a cancel that came after it still counts.
    outcome = {"done": ["settle"], "cancelled": ["release"], "failed": ["release"], "queued": []}[found.status]
    assert ledger(mine) == ["reserve", *outcome]
    assert Asset.objects.count() == (found.status == "done") and quotas.mismatches() == []


def test_two_people_cancelling_the_same_batch_release_each_picture_once(cast: Cast) -> None:
    batch = BatchFactory.create(campaign=cast.campaign)
    jobs = [fresh(job(cast.campaign, batch=batch)) for _ in range(12)]
    results = race(
        partial(renders.cancel, user=cast.person("marketer"), jobs=jobs),
        partial(renders.cancel, user=cast.person("admin"), jobs=jobs[::-1]))
    assert kinds(results) == {"ok": 2} and sum(r for r in results if isinstance(r, int)) == 12
    assert balance(cast.team) == (0, 0) and quotas.mismatches() == []


def test_eight_rounds_of_upkeep_at_once_take_a_job_back_once(cast: Cast) -> None:
    dead = job(cast.campaign, status=JobStatus.RUNNING, lease_until=timezone.now() - timedelta(seconds=1), attempts=3)
    results = race(*(upkeep.take_back for _ in range(THREADS)))
    assert kinds(results) == {"ok": THREADS} and sum(r for r in results if isinstance(r, int)) == 1
    assert fresh(dead).status == "failed" and ledger(dead) == ["reserve", "release"]


@pytest.mark.services
def test_a_claim_does_not_wait_for_another_claim(cast: Cast) -> None:
    """SKIP LOCKED: a job that another worker is just taking is passed over, not waited for."""
    if connection.vendor != "postgresql":
        pytest.skip("row locks are PostgreSQL's")
    from django.db import transaction

    first, second = job(cast.campaign), job(cast.other_campaign)
    took: list[float] = []

    def hold() -> None:
        with transaction.atomic():
            RenderJob.objects.select_for_update().get(pk=first.pk)
            time.sleep(0.6)

    def claim() -> Any:
        time.sleep(0.2)
        began = time.perf_counter()
        found = dispatch.claim_next("worker-1")
        took.append(time.perf_counter() - began)
        return found and found.pk

    assert race(hold, claim)[1] == second.pk and took[0] < 0.3
