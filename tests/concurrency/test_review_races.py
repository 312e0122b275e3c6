from __future__ import annotations

from functools import partial

import pytest

from studio.domain.states import AssetStatus
from studio.models import Activity, Asset, Review
from studio.services import reviews
from tests.concurrency.race import kinds, race
from tests.conftest import Cast
from tests.factories import asset


@pytest.mark.parametrize("attempt", range(4))
def test_of_two_decisions_at_once_one_wins(cast: Cast, attempt: int) -> None:
    made = asset(cast.campaign, status=AssetStatus.IN_REVIEW)
    seen = Asset.objects.for_tiles().get(pk=made.pk)
    reviewer, admin = cast.person("reviewer"), cast.person("admin")
    results = race(
        partial(reviews.approve, user=reviewer, asset=seen),
        partial(reviews.request_changes, user=admin, asset=seen, comment="Warmer."),
        partial(reviews.withdraw, user=cast.person("marketer"), asset=seen),
        partial(reviews.approve, user=admin, asset=seen))
    assert kinds(results) == {"ok": 1, "Conflict": 3}
    decided = Review.objects.get(asset=made)
    expected = {"approved": "approved", "changes": "changes", "withdrawn": "draft"}[decided.status]
    assert Asset.objects.get(pk=made.pk).status == expected
    assert Activity.objects.count() == 1


def test_eight_submissions_at_once_open_one_round(cast: Cast) -> None:
    made = asset(cast.campaign)
    seen = [Asset.objects.for_tiles().get(pk=made.pk) for _ in range(8)]
    results = race(*(partial(reviews.submit, user=cast.person("marketer"), assets=[one]) for one in seen))
    assert kinds(results) == {"ok": 1, "Conflict": 7} and made.reviews.count() == 1


def test_undoing_twice_at_once_opens_one_round(cast: Cast) -> None:
    made = asset(cast.campaign, status=AssetStatus.APPROVED)
    seen = [Asset.objects.for_tiles().get(pk=made.pk) for _ in range(4)]
    results = race(*(partial(reviews.reopen, user=cast.person("reviewer"), asset=one) for one in seen))
    assert kinds(results) == {"ok": 1, "Conflict": 3}
    assert list(made.reviews.order_by("round").values_list("status", flat=True)) == ["approved", "open"]


def test_two_people_submitting_the_same_pictures_do_not_wait_for_each_other(cast: Cast) -> None:
    made = [Asset.objects.for_tiles().get(pk=asset(cast.campaign).pk) for _ in range(6)]
    results = race(
        partial(reviews.submit, user=cast.person("marketer"), assets=made),
        partial(reviews.submit, user=cast.person("admin"), assets=made[::-1]))
    assert kinds(results) == {"ok": 1, "Conflict": 1}
