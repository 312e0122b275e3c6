"""What the metrics count: once for what happened, whichever process did it, and never for what did not."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Sum
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from studio.domain.errors import RenderError
from studio.domain.states import JobStatus
from studio.models import RenderJob, Tally
from studio.services import delivery, dispatch, guides, rendering, tallies, upkeep
from tests.concurrency.race import kinds, race
from tests.conftest import Cast
from tests.factories import job, worker
from tests.services.fake import FlatRenderer

TIMINGS: dict[str, float | list[float]] = {
    "queue": 4000.0, "text": 3.0, "steps": [100.0] * 8, "decode": 40.0, "encode": 5.0, "store": 1.0}


def counted(kind: str, **fields: object) -> int:
    found: int = Tally.objects.filter(kind=kind, **fields).aggregate(sum=Sum("count", default=0))["sum"]
    return found


@pytest.mark.parametrize(("seconds", "le"), [
    (0.0, "0.005"), (0.005, "0.005"), (0.0050001, "0.01"), (1, "1.0"), (1.5, "2.5"), (7200.0, "7200.0"),
    (7200.1, "+Inf"), (float("inf"), "+Inf")])
def test_a_time_falls_into_the_bucket_that_holds_it(seconds: float, le: str) -> None:
    assert tallies.bucket(seconds) == le


@pytest.mark.django_db
def test_a_picture_counts_its_wait_and_each_stage(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    tallies.picture("a", TIMINGS)
    with django_assert_num_queries(1):  # the rows are there
        tallies.picture("a", TIMINGS)
    assert counted("picture") == 2 and counted("wait", le="5.0") == 2
    assert set(Tally.objects.filter(kind="stage").values_list("label", "le", "count")) == {
        ("text", "0.005", 2), ("denoise", "1.0", 2), ("decode", "0.05", 2), ("encode", "0.005", 2),
        ("store", "0.005", 2)}
    assert Tally.objects.get(label="denoise").total == pytest.approx(1.6)
    tallies.picture("a", TIMINGS | {"decode": 90_000.0})  # only one row is new
    assert counted("picture") == 3 and counted("stage", label="text") == 3
    assert counted("stage", label="decode", le="300.0") == 1


def test_a_delivered_picture_is_counted_and_one_that_was_lost_is_not(cast: Cast) -> None:
    job(cast.campaign)
    taken = dispatch.claim_next("worker-1")
    assert taken
    prepared = guides.prepare(taken)
    made = delivery.store(taken, prepared, FlatRenderer().render(prepared.spec, lambda step: None), {})
    RenderJob.objects.update(lease_until=timezone.now())
    upkeep.take_back()
    assert delivery.finish(taken, made) is False and counted("picture") == 0 == counted("wait")
    rendering.run_next(FlatRenderer(), "worker-2")
    assert counted("picture", worker="worker-2") == 1 == counted("picture")
    assert {row.label for row in Tally.objects.filter(kind="stage")} == {"text", "denoise", "decode", "encode", "store"}


def test_failures_are_counted_by_reason(cast: Cast, settings: Any) -> None:
    def breaks(error: Exception) -> FlatRenderer:
        def at_step(index: int) -> None:
            raise error

        return FlatRenderer(at_step)

    for _ in range(3):
        job(cast.campaign)
    rendering.run_next(breaks(RenderError("no")), "worker-1")
    with pytest.raises(ZeroDivisionError):
        rendering.run_next(breaks(ZeroDivisionError()), "worker-1")
    settings.MAX_ATTEMPTS = 1
    dispatch.claim_next("worker-1")
    upkeep.take_back(worker="worker-1")
    reasons = Tally.objects.filter(kind="failed").values_list("label", "count")
    assert set(reasons) == {(RenderError.code, 1), ("unexpected", 1), ("worker_lost", 1)}
    assert RenderJob.objects.filter(status=JobStatus.FAILED).count() == 3


@pytest.mark.django_db(transaction=True)
def test_processes_that_count_at_once_lose_nothing() -> None:
    """Four workers, one of them started twice by mistake; and who rolls back has counted nothing."""
    names, rounds = ("a", "b", "c", "c"), 10

    def count(name: str) -> None:
        for _ in range(rounds):
            with transaction.atomic(durable=True):
                tallies.picture(name, TIMINGS)
        with transaction.atomic(durable=True):
            tallies.failure(name, "x")
            transaction.set_rollback(True)

    with transaction.atomic(durable=True):
        tallies.picture("c", TIMINGS)
    assert kinds(race(*(partial(count, name) for name in names))) == {"ok": 4}
    assert counted("picture") == counted("stage", label="denoise") == len(names) * rounds + 1
    assert counted("failed") == 0
    assert Tally.objects.aggregate(sum=Sum("total"))["sum"] == pytest.approx(41 * 4.849)


def test_a_worker_without_a_row_counts_too(cast: Cast) -> None:
    job(cast.campaign)
    rendering.run_next(FlatRenderer(), "nobody-registered")
    assert counted("picture", worker="nobody-registered") == 1


def test_the_count_is_not_a_row_that_all_wait_for(cast: Cast) -> None:
    worker("a"), worker("b")
    for name in ("a", "b"):
        job(cast.campaign)
        rendering.run_next(FlatRenderer(), name)
    assert set(Tally.objects.filter(kind="picture").values_list("worker", "count")) == {("a", 1), ("b", 1)}
