"""The next job is claimed while the last one is finished; nothing that was claimed ahead is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from studio.models import RenderJob
from studio.services import dispatch, quotas, rendering, renders, upkeep
from studio.worker.claims import Claims
from tests.conftest import Cast, make_cast
from tests.factories import job, ledger
from tests.services.fake import FlatRenderer


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Committed: claims are made in another thread."""
    return make_cast()


@pytest.fixture
def claims(cast: Cast) -> Iterator[Claims]:
    with Claims("worker-1") as made:
        yield made


def states() -> list[tuple[str, int]]:
    return list(RenderJob.objects.order_by("created_at").values_list("status", "attempts"))


def test_the_next_job_is_claimed_before_the_last_one_is_stored(cast: Cast, claims: Claims) -> None:
    for _ in range(2):
        job(cast.campaign)

    def later(work: Any) -> None:
        assert claims._next is not None and claims._next.result(10) is not None
        assert states() == [("running", 1), ("running", 1)]
        work()

    assert rendering.run_next(FlatRenderer(), "worker-1", later, claims)
    assert rendering.run_next(FlatRenderer(), "worker-1", rendering.at_once, claims)
    assert not rendering.run_next(FlatRenderer(), "worker-1", rendering.at_once, claims)
    assert states() == [("done", 1), ("done", 1)] and quotas.mismatches() == []


def test_a_process_that_ends_gives_back_what_it_claimed_ahead(cast: Cast, wakes: list[int]) -> None:
    with Claims("worker-1") as claims:
        first, second = job(cast.campaign), job(cast.campaign)
        rendering.run_next(FlatRenderer(), "worker-1", rendering.at_once, claims)
    assert states() == [("done", 1), ("queued", 0)] and ledger(second) == ["reserve"] and wakes == [1]
    assert ledger(first) == ["reserve", "settle"]


def test_a_job_asked_for_after_the_look_ahead_is_taken_as_well(cast: Cast, claims: Claims) -> None:
    job(cast.campaign)
    rendering.run_next(FlatRenderer(), "worker-1", rendering.at_once, claims)
    assert claims._next is not None and claims._next.result(10) is None
    late = job(cast.campaign)
    found = claims.take()
    assert found is not None and found.pk == late.pk


def test_a_job_that_waits_beside_one_that_kills_its_worker_loses_no_attempt(cast: Cast) -> None:
    innocent = job(cast.campaign)
    for _ in range(5):
        taken = dispatch.claim_next("worker-1", ahead=True)
        assert taken is not None and taken.pk == innocent.pk
        assert upkeep.take_back(worker="worker-1") == 1 and states() == [("queued", 0)]
    taken = dispatch.claim_next("worker-1", ahead=True)
    assert taken is not None and dispatch.begin(taken)  # begun: from here on it may be the one that kills
    assert upkeep.take_back(worker="worker-1") == 1 and states() == [("queued", 1)]


def test_a_job_cancelled_after_it_was_claimed_ahead_is_not_begun(cast: Cast, claims: Claims) -> None:
    mine = [job(cast.campaign) for _ in range(2)]
    claims.soon()
    assert claims._next is not None and claims._next.result(10) is not None
    renders.cancel(user=cast.superuser, jobs=list(
        RenderJob.objects.filter(pk=mine[0].pk).select_related("batch", "campaign__team")))
    found = claims.take()
    assert found is not None and found.pk == mine[1].pk and ledger(mine[0]) == ["reserve", "release"]


def test_a_slow_render_claims_nothing_long_before_its_end(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """With half a second a step, only the last step is near enough to the end."""
    clock, told = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def tick(index: int) -> None:
        clock[0] += 0.5
        told.append(bool(soon))

    soon: list[int] = []
    mine = job(cast.campaign)
    taken = dispatch.claim_next("worker-1")
    assert taken is not None and taken.pk == mine.pk
    rendering.run_job(taken, FlatRenderer(tick), nearly_done=lambda: soon.append(1))
    assert soon == [1] and told == [False] * 8
