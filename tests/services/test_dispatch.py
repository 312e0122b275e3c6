"""What a worker may take, and how much of it: pools, drained workers, caps, giving back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from studio.domain.errors import Forbidden, QueueFull
from studio.domain.priority import Priority, priority_for
from studio.domain.roles import Role
from studio.domain.states import JobStatus
from studio.models import Campaign, Pool, RenderBatch, RenderJob, Share, Team, Worker
from studio.services import dispatch, quotas, rendering, renders, upkeep
from tests.conftest import Cast
from tests.factories import CARD, job, ledger, render_request, worker
from tests.services.fake import FlatRenderer

TODAY = date(2026, 3, 10)


def ask(cast: Cast, who: str = "marketer", **fields: Any) -> RenderBatch:
    return renders.request_render(
        user=cast.person(who), campaign=Campaign.objects.get(pk=cast.campaign.pk), request_key=uuid4(), card=CARD,
        request=render_request(**{key: value for key, value in fields.items() if key != "wanted"}),
        today=timezone.localdate(), wanted=fields.get("wanted"))


def taken(name: str = "worker-1") -> list[Any]:
    """All that this worker would take now, in order."""
    found = []
    while (claim := dispatch.claim_next(name)) is not None:
        found.append(claim.pk)
    return found


@pytest.mark.parametrize(("role", "days", "wanted", "expected"), [
    (Role.MARKETER, None, None, Priority.NORMAL),
    (Role.MARKETER, 2, None, Priority.NORMAL),
    (Role.MARKETER, 1, None, Priority.URGENT),
    (Role.MARKETER, -5, None, Priority.URGENT),
    (Role.MARKETER, 0, Priority.URGENT, Priority.URGENT),
    (Role.MARKETER, 0, Priority.BATCH, Priority.BATCH),
    (Role.REVIEWER, 90, Priority.URGENT, Priority.URGENT),
    (Role.ADMIN, None, Priority.URGENT, Priority.URGENT),
])
def test_role_and_deadline_make_the_class(
    role: Role, days: int | None, wanted: Priority | None, expected: Priority,
) -> None:
    deadline = None if days is None else TODAY + timedelta(days=days)
    assert priority_for(wanted, role=role, deadline=deadline, today=TODAY) is expected


@pytest.mark.parametrize("days", [None, 2])
def test_a_marketer_cannot_jump_the_queue_without_a_near_deadline(days: int | None) -> None:
    deadline = None if days is None else TODAY + timedelta(days=days)
    with pytest.raises(Forbidden):
        priority_for(Priority.URGENT, role=Role.MARKETER, deadline=deadline, today=TODAY)


def test_classes_come_before_fairness_and_age(cast: Cast) -> None:
    background = ask(cast, wanted=Priority.BATCH, count=1).jobs.get()
    normal = ask(cast, count=1).jobs.get()
    urgent = ask(cast, "admin", wanted=Priority.URGENT, count=1).jobs.get()
    theirs = job(cast.other_campaign)
    order = [urgent.pk, theirs.pk, normal.pk, background.pk]
    told = sorted(dispatch.turns().items(), key=lambda item: item[1].place)
    assert [pk for pk, _turn in told] == order == taken()


def test_people_of_a_team_take_turns(cast: Cast) -> None:
    many = [job(cast.campaign, by=cast.marketer).pk for _ in range(3)]
    few = [job(cast.campaign, by=cast.reviewer).pk for _ in range(2)]
    assert taken() == [many[0], few[0], many[1], few[1], many[2]]


def test_work_counts_not_pictures(cast: Cast) -> None:
    """One large picture is as much as four small ones."""
    large = [job(cast.campaign, render_width=128, render_height=128).pk for _ in range(2)]
    small = [job(cast.other_campaign).pk for _ in range(5)]
    assert taken() == [large[0], *small[:4], large[1], small[4]]


def test_time_without_work_is_not_saved_up(cast: Cast) -> None:
    Team.objects.filter(pk=cast.team.pk).update(virtual_time=500.0)
    theirs = job(cast.other_campaign)
    Team.objects.filter(pk=cast.other_team.pk).update(virtual_time=400.0)
    fresh = Team.objects.create(slug="fresh", name_en="Fresh", monthly_pictures=9)
    share = dispatch.join(fresh, cast.marketer)
    assert Team.objects.get(pk=fresh.pk).virtual_time == 400.0 and share.team == fresh
    RenderJob.objects.filter(pk=theirs.pk).update(status="cancelled", finished_at=timezone.now())
    dispatch.join(cast.other_team, cast.stranger)  # nobody waits: then the most that was ever reached
    assert Team.objects.get(pk=cast.other_team.pk).virtual_time == 500.0


def test_what_is_bound_to_a_pool_is_rendered_there_and_nothing_else_is(cast: Cast) -> None:
    team_pool, class_pool = Pool.objects.create(name="retail"), Pool.objects.create(name="rush", priority=0)
    Team.objects.filter(pk=cast.other_team.pk).update(pool=team_pool)
    worker("w-team", pool=team_pool)
    worker("w-class", pool=class_pool)
    worker("w-any")
    own, bound = job(cast.campaign), job(cast.other_campaign)
    rush, bound_rush = job(cast.campaign, priority=0), job(cast.other_campaign, priority=0)
    places = dispatch.turns()
    assert {places[pk].place for pk in (own.pk, rush.pk, bound_rush.pk)} == {1} and places[bound.pk].place == 2
    assert taken("w-any") == [own.pk]
    assert taken("w-class") == [rush.pk]
    assert taken("w-team") == [bound_rush.pk, bound.pk]


def test_a_drained_worker_takes_nothing_and_is_woken_for_nothing(cast: Cast, wakes: list[int]) -> None:
    worker("w", draining=True)
    job(cast.campaign, created_at=timezone.now() - timedelta(minutes=1))
    RenderJob.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    assert taken("w") == [] and upkeep.wake_stale() == 1 and wakes == []
    Worker.objects.update(draining=False)
    upkeep.wake_stale()
    assert wakes == [1] and len(taken("w")) == 1


def test_where_workers_are_set_apart_all_of_them_are_woken(
    cast: Cast, wakes: list[int], django_capture_on_commit_callbacks: Any,
) -> None:
    for number in range(3):
        worker(f"w{number}", pool=Pool.objects.create(name="p") if number == 2 else None)
    with django_capture_on_commit_callbacks(execute=True):
        ask(cast, count=1)
    assert wakes == [3]


def test_a_paused_campaign_waits(cast: Cast) -> None:
    job(cast.campaign)
    Campaign.objects.filter(pk=cast.campaign.pk).update(paused_at=timezone.now())
    assert taken() == [] and dispatch.turns() == {}


@pytest.mark.parametrize(("limit", "words"), [
    ("QUEUED_PER_PERSON", "You have 3"), ("QUEUED_PER_TEAM", "Your team has 3")])
def test_a_line_that_is_too_long_takes_nothing_more(cast: Cast, settings: Any, limit: str, words: str) -> None:
    setattr(settings, limit, 4)
    ask(cast, count=3)
    with pytest.raises(QueueFull, match=words):
        ask(cast, count=2)
    assert RenderJob.objects.count() == 3 and quotas.mismatches() == []
    assert ask(cast, count=1).jobs.count() == 1


@pytest.mark.parametrize(("limit", "running"), [("RUNNING_PER_PERSON", 2), ("RUNNING_PER_TEAM", 1)])
def test_who_has_enough_running_waits_and_others_do_not(cast: Cast, settings: Any, limit: str, running: int) -> None:
    setattr(settings, limit, 1)
    for who in (cast.marketer, cast.reviewer):
        job(cast.campaign, by=who)
        job(cast.campaign, by=who)
    theirs = job(cast.other_campaign)
    found = taken()
    assert len(found) == running + 1 and theirs.pk in found
    assert Share.objects.filter(jobs__status=JobStatus.RUNNING).distinct().count() == running + 1


@pytest.fixture
def ending(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process was asked to end, and its grace time is over."""
    monkeypatch.setattr(rendering, "_ends_at", time.monotonic() - 1)
    yield


def test_a_process_that_must_end_hands_its_render_back(
    cast: Cast, ending: None, wakes: list[int], django_capture_on_commit_callbacks: Any,
) -> None:
    mine = job(cast.campaign)
    with django_capture_on_commit_callbacks(execute=True):
        assert rendering.run_next(FlatRenderer(), "worker-1")
    found = RenderJob.objects.get(pk=mine.pk)
    assert (found.status, found.attempts, found.step, found.lease_token) == ("queued", 0, 0, None)
    assert ledger(mine) == ["reserve"] and wakes == [1]


def test_a_render_at_its_last_step_is_finished(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = job(cast.campaign)

    def end_at(index: int) -> None:
        if index == 8:
            monkeypatch.setattr(rendering, "_ends_at", time.monotonic() - 1)

    rendering.run_next(FlatRenderer(end_at), "worker-1")
    assert RenderJob.objects.get(pk=mine.pk).status == "done" and ledger(mine) == ["reserve", "settle"]


def test_a_chore_is_done_once_in_its_time(db: None) -> None:
    assert [upkeep.begin("x", every=60) for _ in range(3)] == [True, False, False]
    assert upkeep.begin("y", every=60)


def test_waits_go_by_what_was_measured_at_the_size(cast: Cast) -> None:
    me = worker(step_ms=100.0, rest_ms=0.0)
    me.paces.create(width=64, height=64, step_ms=10.0, rest_ms=20.0)
    near, far = job(cast.campaign), job(cast.campaign, render_width=128, render_height=64)
    found = dispatch.turns()
    # 20 + 8 x 10 ms, and twice that for twice the pixels; each once more for what is being rendered now.
    assert found[near.pk].seconds == pytest.approx(0.1 + 0.1)
    assert found[far.pk].seconds == pytest.approx(0.1 + 0.2 + 0.2)
