"""Pause and resume, one's own order, cancel all of one's own, retry with another seed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.utils import timezone

from studio.domain.errors import Conflict, Forbidden, QueueFull
from studio.domain.priority import Priority
from studio.domain.roles import Role
from studio.domain.states import JobStatus
from studio.models import Activity, Campaign, Membership, Pool, RenderBatch, RenderJob, Share, Team, User
from studio.services import dispatch, renders, steering
from tests.conftest import Cast
from tests.factories import CARD, CampaignFactory, balance, job, member_of, render_request, worker

Commit = Any


def fresh(row: RenderJob) -> RenderJob:
    return RenderJob.objects.select_related("batch__again_of", "campaign__team").get(pk=row.pk)


def taken(count: int) -> list[RenderJob]:
    """The next `count` jobs, in the order in which a worker takes them."""
    found = [dispatch.claim_next("worker-1") for _ in range(count)]
    return [one for one in found if one]


def ask(user: User, campaign: Campaign, **fields: Any) -> RenderBatch:
    wanted = fields.pop("wanted", None)
    return renders.request_render(
        user=user, campaign=campaign, request=render_request(**fields), request_key=uuid4(), card=CARD,
        today=timezone.localdate(), wanted=wanted)


# --- pause and resume -------------------------------------------------------------------------
def test_a_paused_campaign_waits_and_the_others_go_on(cast: Cast) -> None:
    worker()
    paused, other = job(cast.campaign), job(CampaignFactory.create(team=cast.team, created_by=cast.marketer))
    assert steering.pause(user=cast.marketer, campaign=cast.campaign) is True
    assert steering.pause(user=cast.admin, campaign=cast.campaign) is False  # it is already
    assert set(dispatch.turns()) == {other.pk}
    assert RenderJob.objects.queued() == {Priority.NORMAL: (1, 8)}
    assert taken(2) == [other] and fresh(paused).status == "queued"
    assert steering.resume(user=cast.reviewer, campaign=cast.campaign) is True
    assert steering.resume(user=cast.reviewer, campaign=cast.campaign) is False
    assert taken(2) == [paused]
    assert [line.verb for line in Activity.objects.order_by("pk")] == ["queue.paused", "queue.resumed"]


def test_pausing_is_told_to_everybody_who_waits(
    cast: Cast, events: list[Any], wakes: list[int], django_capture_on_commit_callbacks: Commit,
) -> None:
    for campaign in (cast.campaign, cast.other_campaign):
        job(campaign)
    both = {f"campaign.{cast.campaign.pk}", f"campaign.{cast.other_campaign.pk}", "workers"}
    with django_capture_on_commit_callbacks(execute=True):
        steering.pause(user=cast.marketer, campaign=cast.campaign)
    assert {topic for topic, event in events if event["type"] == "queue.moved"} == both and wakes == []
    events.clear()
    with django_capture_on_commit_callbacks(execute=True):
        steering.resume(user=cast.marketer, campaign=cast.campaign)
    assert {topic for topic, event in events if event["type"] == "queue.moved"} == both and wakes == [1]


def test_a_pause_saves_nothing_up(cast: Cast) -> None:
    """A team that was paused while another one rendered does not go first for as long as it was away."""
    worker()
    paused = [job(cast.campaign) for _ in range(3)]
    steering.pause(user=cast.marketer, campaign=cast.campaign)
    others = [job(cast.other_campaign) for _ in range(8)]
    taken(4)
    steering.resume(user=cast.marketer, campaign=cast.campaign)
    first = taken(4)
    assert sum(one in paused for one in first) == sum(one in others for one in first) == 2


@pytest.mark.parametrize("who", ["viewer", "stranger"])
def test_viewers_and_strangers_pause_nothing(cast: Cast, who: str) -> None:
    for service in (steering.pause, steering.resume):
        with pytest.raises(Forbidden):
            service(user=cast.person(who), campaign=cast.campaign)
    assert not Campaign.objects.filter(paused_at__isnull=False).exists()


# --- one's own order --------------------------------------------------------------------------
def test_ones_own_go_first_and_last(cast: Cast) -> None:
    worker()
    one, two, three = (job(cast.campaign) for _ in range(3))
    assert steering.reorder(user=cast.marketer, jobs=[fresh(three)], first=True) == 1
    assert steering.reorder(user=cast.marketer, jobs=[fresh(one)], first=False) == 1
    assert [pk for pk, _turn in sorted(dispatch.turns().items(), key=lambda found: found[1].place)] == [
        three.pk, two.pk, one.pk]
    assert taken(3) == [three, two, one]


def test_a_batch_keeps_its_own_order_and_nobody_else_waits_longer(cast: Cast) -> None:
    worker()
    early = ask(cast.marketer, cast.campaign, count=2)
    late = ask(cast.marketer, cast.campaign, count=2)
    others = ask(cast.stranger, cast.other_campaign, count=4)
    before = {pk: turn.place for pk, turn in dispatch.turns().items()}
    steering.reorder(user=cast.marketer, jobs=list(late.jobs.all()), first=True)
    after = {pk: turn.place for pk, turn in dispatch.turns().items()}
    assert all(after[one.pk] == before[one.pk] for one in others.jobs.all())
    mine = [one for one in taken(8) if one.campaign_id == cast.campaign.pk]
    assert mine == [*late.jobs.order_by("position"), *early.jobs.order_by("position")]


def test_the_order_stays_within_a_class(cast: Cast) -> None:
    worker()
    urgent, background = job(cast.campaign, priority=Priority.URGENT), job(cast.campaign, priority=Priority.BATCH)
    steering.reorder(user=cast.marketer, jobs=[fresh(background)], first=True)
    assert taken(2) == [urgent, background]


@pytest.mark.parametrize("who", ["viewer", "reviewer", "admin", "superuser", "stranger"])
def test_only_who_asked_changes_the_turn(cast: Cast, who: str) -> None:
    mine = job(cast.campaign)
    with pytest.raises(Forbidden):
        steering.reorder(user=cast.person(who), jobs=[fresh(mine)], first=True)
    assert fresh(mine).rank == 0


@pytest.mark.parametrize("status", [JobStatus.RUNNING, JobStatus.DONE, JobStatus.FAILED])
def test_what_does_not_wait_has_no_turn(cast: Cast, status: JobStatus) -> None:
    mine = job(cast.campaign, status=status)
    job(cast.campaign)
    with pytest.raises(Conflict, match="nothing left to put in order"):
        steering.reorder(user=cast.marketer, jobs=[fresh(mine)], first=True)


# --- cancel all of one's own ------------------------------------------------------------------
def test_all_of_ones_own_end_in_every_campaign_and_nobody_elses(cast: Cast) -> None:
    other = CampaignFactory.create(team=cast.team, created_by=cast.marketer)
    mine = [job(cast.campaign), job(other), job(other, status=JobStatus.RUNNING), job(cast.campaign, by=cast.marketer)]
    steering.pause(user=cast.marketer, campaign=other)
    theirs = [job(cast.campaign, by=cast.admin), job(cast.other_campaign), job(cast.campaign, status=JobStatus.DONE)]
    assert renders.cancel_mine(user=cast.marketer) == 4
    assert {fresh(one).status for one in mine} == {"cancelled"}
    assert [fresh(one).status for one in theirs] == ["queued", "queued", "done"]
    assert balance(cast.team) == (1, 1) and renders.cancel_mine(user=cast.marketer) == 0


def test_who_became_a_viewer_elsewhere_still_cancels_here(cast: Cast) -> None:
    Membership.objects.create(team=cast.other_team, user=cast.marketer, role=Role.VIEWER)
    here, there = job(cast.campaign), job(cast.other_campaign, by=cast.marketer)
    assert renders.cancel_mine(user=cast.person("marketer")) == 1
    assert (fresh(here).status, fresh(there).status) == ("cancelled", "queued")
    with pytest.raises(Forbidden):
        renders.cancel_mine(user=cast.viewer)


# --- retry ------------------------------------------------------------------------------------
def test_another_seed_is_another_batch_and_a_double_press_is_one(cast: Cast) -> None:
    lost = job(cast.campaign, status=JobStatus.FAILED, seed=9)
    again: dict[str, Any] = {"user": cast.marketer, "job": fresh(lost), "card": CARD, "today": timezone.localdate()}
    same, other = renders.retry(**again), renders.retry(**again, new_seed=True)
    assert same != other and renders.retry(**again, new_seed=True) == other
    assert same.jobs.get().seed == 9 and other.jobs.get().seed != 9
    assert (other.prompt, other.steps) == (lost.batch.prompt, lost.batch.steps)


@pytest.mark.parametrize(("was", "days", "now"), [
    (Priority.BATCH, None, Priority.BATCH), (Priority.URGENT, None, Priority.NORMAL),
    (Priority.NORMAL, 1, Priority.URGENT)])
def test_a_retry_goes_by_todays_deadline_unless_it_was_in_the_background(
    cast: Cast, was: Priority, days: int | None, now: Priority,
) -> None:
    today = timezone.localdate()
    cast.campaign.deadline = None if days is None else today + timedelta(days=days)
    cast.campaign.save()
    lost = fresh(job(cast.campaign, status=JobStatus.FAILED, priority=was))
    assert renders.retry(user=cast.marketer, job=lost, card=CARD, today=today).jobs.get().priority == now


# --- classes, limits, estimates ---------------------------------------------------------------
def test_urgent_goes_first_and_background_last(cast: Cast) -> None:
    worker()
    background = ask(cast.marketer, cast.campaign, count=1, wanted=Priority.BATCH).jobs.get()
    normal = ask(cast.marketer, cast.campaign, count=1).jobs.get()
    urgent = ask(cast.reviewer, cast.campaign, count=1, wanted=Priority.URGENT).jobs.get()
    with pytest.raises(Forbidden, match="jump the queue"):
        ask(cast.marketer, cast.campaign, wanted=Priority.URGENT)
    places = dispatch.turns()
    assert [places[one.pk].place for one in (urgent, normal, background)] == [1, 2, 3]
    assert taken(3) == [urgent, normal, background]


def test_a_full_line_queues_nothing(cast: Cast, settings: LazySettings) -> None:
    settings.QUEUED_PER_PERSON, settings.QUEUED_PER_TEAM = 3, 4
    ask(cast.marketer, cast.campaign, count=2)
    with pytest.raises(QueueFull, match="You have 2 pictures waiting"):
        ask(cast.marketer, cast.campaign, count=2)
    with pytest.raises(QueueFull, match="Your team has 2 pictures waiting"):
        ask(cast.admin, cast.campaign, count=3)
    assert RenderJob.objects.count() == 2 and balance(cast.team) == (2, 0)


def test_places_are_counted_over_all_teams_and_waits_need_a_worker_of_ones_own_pool(cast: Cast) -> None:
    mine, theirs = job(cast.campaign), job(cast.other_campaign)
    assert [turn.seconds for turn in dispatch.turns().values()] == [None, None]
    worker(step_ms=100.0, rest_ms=200.0)
    found = dispatch.turns()
    assert (found[mine.pk].place, found[theirs.pk].place) == (1, 2)
    assert (found[mine.pk].seconds, found[theirs.pk].seconds) == (2.0, 3.0)  # and once more for what runs now
    pool = Pool.objects.create(name="theirs")
    Team.objects.filter(pk=cast.other_team.pk).update(pool=pool)
    found = dispatch.turns()
    assert (found[theirs.pk].place, found[theirs.pk].seconds) == (1, None)
    worker("set-apart", pool=pool)
    assert dispatch.turns()[theirs.pk].seconds == 2.0


def test_turns_interleave_teams_and_people(cast: Cast) -> None:
    colleague = member_of(cast.team, Role.MARKETER)
    many = [job(cast.campaign) for _ in range(3)]
    one, theirs = job(cast.campaign, by=colleague), job(cast.other_campaign)
    Share.objects.update(virtual_time=0)
    order = sorted(dispatch.turns().items(), key=lambda found: found[1].place)
    assert [pk for pk, _turn in order] == [many[0].pk, theirs.pk, one.pk, many[1].pk, many[2].pk]
