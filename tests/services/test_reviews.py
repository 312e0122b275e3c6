from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from studio.domain.errors import Conflict, Forbidden, Invalid
from studio.domain.states import AssetStatus
from studio.models import Activity, Asset
from studio.services import reviews
from studio.services.reviews import MAX_COMMENT
from tests.conftest import Cast
from tests.factories import asset


def fresh(row: Asset) -> Asset:
    return Asset.objects.for_tiles().get(pk=row.pk)


def verbs() -> list[str]:
    return list(Activity.objects.order_by("pk").values_list("verb", flat=True))


def test_the_whole_life_of_a_picture(
    cast: Cast, events: list[Any], django_capture_on_commit_callbacks: Any,
) -> None:
    made = asset(cast.campaign)
    with django_capture_on_commit_callbacks(execute=True):
        reviews.pick(user=cast.marketer, asset=made, picked=True)
        assert fresh(made).picked
        reviews.submit(user=cast.marketer, assets=[fresh(made)])
        assert (fresh(made).status, fresh(made).picked) == ("in_review", False)
        reviews.request_changes(user=cast.reviewer, asset=fresh(made), comment="  Warmer, please. ")
        reviews.submit(user=cast.marketer, assets=[fresh(made)])
        reviews.withdraw(user=cast.marketer, asset=fresh(made))
        assert fresh(made).status == "draft"
        reviews.submit(user=cast.marketer, assets=[fresh(made)])
        reviews.approve(user=cast.admin, asset=fresh(made))
        assert fresh(made).status == "approved"
        reviews.reopen(user=cast.reviewer, asset=fresh(made))
        reviews.approve(user=cast.reviewer, asset=fresh(made), comment="Good.")
    rounds = list(made.reviews.order_by("round").values_list("round", "status", "comment", "decided_by__name"))
    assert rounds == [
        (1, "changes", "Warmer, please.", cast.reviewer.name), (2, "withdrawn", "", cast.marketer.name),
        (3, "approved", "", cast.admin.name), (4, "approved", "Good.", cast.reviewer.name)]
    assert {r.sha256 for r in made.reviews.all()} == {made.sha256}
    assert {r.submitted_by_id for r in made.reviews.all()} == {cast.marketer.pk}
    assert verbs() == [
        "review.submitted", "review.changes_requested", "review.submitted", "review.withdrawn", "review.submitted",
        "review.approved", "review.reopened", "review.approved"]
    assert [e["status"] for _topic, e in events] == [
        "draft", "in_review", "changes", "in_review", "draft", "in_review", "approved", "in_review", "approved"]


@pytest.mark.parametrize("who", ["reviewer", "admin", "superuser"])
def test_the_author_never_decides(cast: Cast, who: str) -> None:
    author = cast.person(who)
    made = fresh(asset(cast.campaign, by=author, status=AssetStatus.IN_REVIEW))
    with pytest.raises(Forbidden, match="You made this picture"):
        reviews.approve(user=author, asset=made)
    with pytest.raises(Forbidden, match="You made this picture"):
        reviews.request_changes(user=author, asset=made, comment="x")
    decided = fresh(asset(cast.campaign, by=author, status=AssetStatus.APPROVED))
    with pytest.raises(Forbidden, match="You made this picture"):
        reviews.reopen(user=author, asset=decided)
    assert fresh(made).status == "in_review"


DECISIONS: dict[str, Callable[[Any, Asset], None]] = {
    "approve": lambda user, made: reviews.approve(user=user, asset=made),
    "changes": lambda user, made: reviews.request_changes(user=user, asset=made, comment="x"),
    "withdraw": lambda user, made: reviews.withdraw(user=user, asset=made),
}


@pytest.mark.parametrize("second", DECISIONS)
@pytest.mark.parametrize("first", DECISIONS)
def test_the_second_decision_loses(cast: Cast, first: str, second: str) -> None:
    made = fresh(asset(cast.campaign, status=AssetStatus.IN_REVIEW))
    DECISIONS[first](cast.reviewer, made)
    after = fresh(made).status
    with pytest.raises(Conflict, match=rf"Frame {made.job.frame} is not waiting"):
        DECISIONS[second](cast.admin, made)  # with the row as it was seen before
    assert fresh(made).status == after and made.reviews.count() == 1 and len(verbs()) == 1


@pytest.mark.parametrize("status", [AssetStatus.DRAFT, AssetStatus.CHANGES, AssetStatus.APPROVED])
@pytest.mark.parametrize("name", DECISIONS)
def test_only_what_is_in_review_is_decided(cast: Cast, name: str, status: AssetStatus) -> None:
    with pytest.raises(Conflict):
        DECISIONS[name](cast.reviewer, fresh(asset(cast.campaign, status=status)))


@pytest.mark.parametrize("status", [AssetStatus.DRAFT, AssetStatus.IN_REVIEW])
def test_only_a_decision_is_undone(cast: Cast, status: AssetStatus) -> None:
    with pytest.raises(Conflict, match="no decision to undo"):
        reviews.reopen(user=cast.reviewer, asset=fresh(asset(cast.campaign, status=status)))


@pytest.mark.parametrize("status", [AssetStatus.IN_REVIEW, AssetStatus.APPROVED])
def test_submitting_is_all_or_nothing(cast: Cast, status: AssetStatus) -> None:
    good, bad = asset(cast.campaign), asset(cast.campaign, status=status)
    with pytest.raises(Conflict, match=rf"Frame {bad.job.frame} is already"):
        reviews.submit(user=cast.marketer, assets=[fresh(good), fresh(bad)])
    assert fresh(good).status == "draft" and not good.reviews.exists() and verbs() == []


def test_submitting_nothing_says_so(cast: Cast) -> None:
    with pytest.raises(Invalid, match="Pick at least one"):
        reviews.submit(user=cast.marketer, assets=[])


@pytest.mark.parametrize("comment", ["", "   \n", "\x00"])
def test_changes_need_a_comment(cast: Cast, comment: str) -> None:
    made = fresh(asset(cast.campaign, status=AssetStatus.IN_REVIEW))
    with pytest.raises(Invalid, match="comment is needed"):
        reviews.request_changes(user=cast.reviewer, asset=made, comment=comment)
    assert fresh(made).status == "in_review"


def test_a_comment_has_a_limit(cast: Cast) -> None:
    made = fresh(asset(cast.campaign, status=AssetStatus.IN_REVIEW))
    with pytest.raises(Invalid, match="at most 2000"):
        reviews.approve(user=cast.reviewer, asset=made, comment="x" * (MAX_COMMENT + 1))
    reviews.approve(user=cast.reviewer, asset=made, comment="x" * MAX_COMMENT)


@pytest.mark.parametrize(("who", "may_submit", "may_review"), [
    ("viewer", False, False), ("marketer", True, False), ("reviewer", True, True), ("admin", True, True),
    ("stranger", False, False),
])
def test_who_may_do_what(cast: Cast, who: str, may_submit: bool, may_review: bool) -> None:
    user, by = cast.person(who), cast.marketer if who != "marketer" else cast.admin
    acts: list[tuple[bool, Callable[[], None]]] = [
        (may_submit, lambda: reviews.pick(user=user, asset=fresh(asset(cast.campaign, by=by)), picked=True)),
        (may_submit, lambda: reviews.submit(user=user, assets=[fresh(asset(cast.campaign, by=by))])),
        (may_submit, lambda: reviews.withdraw(user=user, asset=waiting())),
        (may_review, lambda: reviews.approve(user=user, asset=waiting())),
        (may_review, lambda: reviews.request_changes(user=user, asset=waiting(), comment="x")),
        (may_review, lambda: reviews.reopen(
            user=user, asset=fresh(asset(cast.campaign, by=by, status=AssetStatus.APPROVED)))),
    ]

    def waiting() -> Asset:
        return fresh(asset(cast.campaign, by=by, status=AssetStatus.IN_REVIEW))

    for allowed, act in acts:
        if allowed:
            act()
        else:
            with pytest.raises(Forbidden):
                act()


@pytest.mark.parametrize("first", ["approved", "in review"])
def test_a_page_that_is_out_of_date_undoes_no_approval(cast: Cast, first: str) -> None:
    """Submitting is for drafts: what was approved meanwhile is reopened by reviewers only."""
    made = asset(cast.campaign)
    stale = fresh(made)
    reviews.submit(user=cast.marketer, assets=[fresh(made)])
    if first == "approved":
        reviews.approve(user=cast.reviewer, asset=fresh(made))
    with pytest.raises(Conflict):
        reviews.submit(user=cast.marketer, assets=[stale])
    assert fresh(made).status == ("approved" if first == "approved" else "in_review")


def test_a_decision_that_was_undone_and_withdrawn_is_not_reopened(cast: Cast) -> None:
    made = asset(cast.campaign)
    reviews.submit(user=cast.marketer, assets=[fresh(made)])
    reviews.approve(user=cast.reviewer, asset=fresh(made))
    stale = fresh(made)
    reviews.reopen(user=cast.reviewer, asset=fresh(made))
    reviews.withdraw(user=cast.marketer, asset=fresh(made))
    with pytest.raises(Conflict):
        reviews.reopen(user=cast.reviewer, asset=stale)
    assert fresh(made).status == "draft"
