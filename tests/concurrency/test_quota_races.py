"""Money-like counters under races: the naive way is shown to fail, ours to hold."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from studio.domain.errors import QuotaExceeded
from studio.domain.states import JobStatus
from studio.models import Campaign, QuotaAccount, QuotaEntry, RenderBatch, RenderJob, Team
from studio.services import activity, quotas, renders
from tests.concurrency.race import kinds, race
from tests.conftest import Cast
from tests.factories import CARD, account, balance, job, ledger, render_request

THREADS = 8


def asker(cast: Cast, *, key: Any = None, count: int = 1) -> Callable[[], RenderBatch]:
    campaign = Campaign.objects.select_related("team").get(pk=cast.campaign.pk)
    return partial(
        renders.request_render, user=cast.person("marketer"), campaign=campaign, request=render_request(count=count),
        request_key=key or uuid4(), card=CARD, today=timezone.localdate())


def limit_to(team: Team, limit: int) -> None:
    QuotaAccount.objects.filter(pk=account(team).pk).update(limit=limit)


def test_the_last_picture_goes_to_one_of_eight(cast: Cast, wakes: list[int]) -> None:
    limit_to(cast.team, 1)
    results = race(*(asker(cast) for _ in range(THREADS)))
    assert kinds(results) == {"ok": 1, "QuotaExceeded": 7}
    assert RenderJob.objects.count() == RenderBatch.objects.count() == 1 and wakes == [1]
    assert balance(cast.team) == (1, 0) and quotas.mismatches() == []


def _naive_reserve(results: list[str], *, pk: int, rest: float) -> None:
    """Read, decide, write: what reserve() would be without its conditional update."""
    found = QuotaAccount.objects.get(pk=pk)
    if found.limit < found.reserved + found.spent + 1:
        raise QuotaExceeded(needed=1, left=found.left)
    time.sleep(rest)
    QuotaAccount.objects.filter(pk=pk).update(reserved=found.reserved + 1)
    results.append("sold")


def test_the_race_is_real(cast: Cast) -> None:
    """With a naive reserve the same race oversells: the test above can fail."""
    limit_to(cast.team, 1)
    sold: list[str] = []
    pk = account(cast.team).pk
    race(*(partial(_naive_reserve, sold, pk=pk, rest=0.2) for _ in range(4)))
    assert len(sold) > 1


def test_many_requests_reserve_exactly_what_they_ask_for(cast: Cast) -> None:
    limit_to(cast.team, 10)
    results = race(*(asker(cast, count=3) for _ in range(THREADS)))
    assert kinds(results) == {"ok": 3, "QuotaExceeded": 5}
    assert balance(cast.team) == (9, 0) and RenderJob.objects.count() == 9 and quotas.mismatches() == []
    assert sorted(b.number for b in RenderBatch.objects.all()) == [1, 2, 3]


def test_the_same_request_sent_eight_times_is_one_batch(cast: Cast, wakes: list[int]) -> None:
    key = uuid4()
    results = race(*(asker(cast, key=key, count=2) for _ in range(THREADS)))
    assert kinds(results) == {"ok": 8} and len({b.pk for b in results if isinstance(b, RenderBatch)}) == 1
    assert RenderJob.objects.count() == 2 and balance(cast.team) == (2, 0) and wakes == [1]


def test_the_first_account_of_a_month_is_made_once(cast: Cast) -> None:
    results = race(*(partial(quotas.account_for, cast.team, timezone.localdate()) for _ in range(THREADS)))
    assert kinds(results) == {"ok": 8} and QuotaAccount.objects.filter(team=cast.team).count() == 1


def test_settling_and_releasing_at_once_charges_once(cast: Cast) -> None:
    mine = job(cast.campaign, status=JobStatus.RUNNING)

    def close(act: Callable[[Any], None]) -> str:
        with transaction.atomic():
            act(mine.pk)
        return act.__name__

    results = race(*(partial(close, act) for act in (quotas.settle, quotas.release) * 4))
    assert kinds(results) == {"ok": 1, "IntegrityError": 7}
    winner = next(r for r in results if not isinstance(r, Exception))
    assert balance(cast.team) == ((0, 1) if winner == "settle" else (0, 0)) and len(ledger(mine)) == 2
    assert all(isinstance(r, IntegrityError) for r in results if isinstance(r, Exception))


def test_a_new_limit_never_ends_below_what_was_reserved_meanwhile(cast: Cast) -> None:
    admin = cast.person("admin")
    change = partial(quotas.change_limit, user=admin, team=cast.team, limit=2, today=timezone.localdate(),
                     even_below_use=True)
    results = race(*(asker(cast, count=2) for _ in range(4)), *(change for _ in range(4)))
    assert set(kinds(results)) <= {"ok", "QuotaExceeded"}
    found = account(cast.team)
    assert found.limit >= found.reserved == QuotaEntry.objects.count() and quotas.mismatches() == []


@pytest.mark.services
def test_a_new_limit_and_a_cancelled_render_do_not_wait_for_each_other_in_a_circle(cast: Cast) -> None:
    """Cancelling locks the account, then names the team in the activity; changing the limit locks both."""
    if connection.vendor != "postgresql":
        pytest.skip("row locks are PostgreSQL's")
    mine = job(cast.campaign)

    def release_slowly() -> None:
        with transaction.atomic():
            quotas.release(mine.pk)
            time.sleep(0.5)
            activity.record(verb="render.cancelled", campaign=cast.campaign, actor=cast.marketer, pictures=1)

    def change() -> None:
        time.sleep(0.2)
        quotas.change_limit(user=cast.person("admin"), team=cast.team, limit=9, today=timezone.localdate())

    assert kinds(race(release_slowly, change)) == {"ok": 2}


def test_the_last_picture_of_a_budget_goes_to_one_of_eight(cast: Cast, wakes: list[int]) -> None:
    Campaign.objects.filter(pk=cast.campaign.pk).update(budget=1)
    results = race(*(asker(cast) for _ in range(THREADS)))
    assert kinds(results) == {"ok": 1, "BudgetExceeded": 7}
    assert RenderJob.objects.count() == 1 and balance(cast.team) == (1, 0)


def _naive_budget(asked: Callable[[], RenderBatch], *, pk: int, rest: float) -> RenderBatch:
    """Count, decide, queue: what the budget would be if it were asked before the campaign's row is written."""
    if RenderJob.objects.filter(campaign=pk).count() >= 1:
        raise RuntimeError("the budget is spent")
    time.sleep(rest)
    return asked()


def test_the_race_for_a_budget_is_real(cast: Cast, wakes: list[int]) -> None:
    """Asked beforehand, the same budget is spent several times: the test above can fail."""
    results = race(*(partial(_naive_budget, asker(cast), pk=cast.campaign.pk, rest=0.2) for _ in range(4)))
    assert kinds(results)["ok"] > 1
