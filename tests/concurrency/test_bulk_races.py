"""A row of a sheet becomes one batch, however many processes feed it and whenever they die."""

from __future__ import annotations

import time
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone

from studio.models import BulkRow, BulkRun, QuotaAccount, RenderBatch, RenderJob
from studio.services import bulk, feeding, models, quotas
from studio.services.bulkrules import Rules
from studio.services.renders import Order
from tests.concurrency.race import race
from tests.conftest import Cast
from tests.factories import account, ad_format, balance
from tests.kits import template, version

ROWS = 24


@pytest.fixture
def run(cast: Cast) -> BulkRun:
    QuotaAccount.objects.filter(pk=account(cast.team).pk).update(limit=1000)
    text = "product,tone\n" + "".join(f"花{n},粉色\n" for n in range(ROWS))
    made = bulk.start(user=cast.marketer, campaign=cast.campaign, name="x.csv", data=text.encode(),
                      version=version(template(cast.team, cast.marketer)))
    bulk.queue(user=cast.marketer, run=made, formats=[ad_format()], count=1)
    return found(made)


def found(run: BulkRun) -> BulkRun:
    return BulkRun.objects.select_related(
        "campaign__team", "campaign__brand_kit", "version__template", "requested_by").get(pk=run.pk)


def test_four_feeders_take_each_row_once(cast: Cast, run: BulkRun, wakes: list[int]) -> None:
    results = race(*(partial(feeding.feed, found(run)) for _ in range(4)))
    assert sum(one for one in results if isinstance(one, int)) == ROWS == RenderBatch.objects.count()
    assert BulkRow.objects.filter(taken_at=None).count() == 0
    assert balance(cast.team) == (ROWS, 0) and quotas.mismatches() == []


def test_a_feeder_that_dies_between_two_rows_leaves_nothing_half_done(
    cast: Cast, run: BulkRun, monkeypatch: pytest.MonkeyPatch,
) -> None:
    place, calls = Order.place, 0

    def dying(self: Order, *arguments: object, **fields: object) -> RenderBatch:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return place(self, *arguments, **fields)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(Order, "place", dying)
    with pytest.raises(KeyboardInterrupt):
        feeding.feed(run)
    assert not RenderBatch.objects.exists() and balance(cast.team) == (0, 0)
    assert feeding.feed(found(run)) == ROWS == RenderBatch.objects.count()


def _naive(run: BulkRun, rest: float) -> int:
    """Look which rows wait, then queue them: what feeding would be without the lock and the rows' keys."""
    rows = list(BulkRow.objects.filter(run=run, taken_at=None).order_by("number")[:3])
    time.sleep(rest)
    rules, card, preset = Rules.of(run), models.current().card, ad_format()
    for row in rows:
        with transaction.atomic():
            batch = RenderBatch.objects.create(
                campaign=run.campaign, number=10_000 + RenderBatch.objects.count(), requested_by=run.requested_by,
                request_key=timezone.now().strftime("00000000-0000-0000-0000-%H%M%S%f"), prompt="x", seed=1, count=1,
                steps=card.steps, bulk_row=row, values={name: one.as_json() for name, one in rules.values(
                    row.cells).items()})
        assert batch.pk and preset.pk
    return len(rows)


def test_the_race_is_real(cast: Cast, run: BulkRun, wakes: list[int]) -> None:
    """Without them rows are rendered twice: the tests above can fail."""
    race(*(partial(_naive, found(run), 0.2 + 0.05 * number) for number in range(3)))
    assert RenderBatch.objects.count() > RenderBatch.objects.values("bulk_row").distinct().count()
    assert not RenderJob.objects.exists()
