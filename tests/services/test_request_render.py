from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from studio.domain.errors import Conflict, Forbidden, QuotaExceeded
from studio.domain.spec import Target
from studio.domain.states import JobStatus
from studio.models import Activity, Campaign, QuotaAccount, QuotaEntry, RenderBatch, RenderJob, User
from studio.services import dispatch, quotas, renders
from tests.conftest import Cast
from tests.factories import CARD, BatchFactory, account, ad_format, balance, job, ledger, render_request, worker

TODAY = date(2026, 11, 23)
Commit = Any


def ask(user: User, campaign: Campaign, *, key: UUID | None = None, today: date = TODAY, **fields: Any) -> RenderBatch:
    return renders.request_render(
        user=user, campaign=campaign, request=render_request(**fields), request_key=key or uuid4(), card=CARD,
        today=today)


def nothing_happened(cast: Cast) -> bool:
    fresh = Campaign.objects.get(pk=cast.campaign.pk)
    held = QuotaAccount.objects.filter(reserved__gt=0).exists()
    rows = RenderBatch.objects.exists() or RenderJob.objects.exists() or QuotaEntry.objects.exists()
    return not (held or rows or fresh.batch_count or Activity.objects.exists())


def test_a_request_is_queued_reserved_recorded_and_announced(
    cast: Cast, wakes: list[int], events: list[Any], django_capture_on_commit_callbacks: Commit,
) -> None:
    formats = (Target("taobao-main", 800, 800), Target("", 728, 90))
    with django_capture_on_commit_callbacks(execute=True):
        batch = ask(cast.marketer, cast.campaign, targets=formats, count=3, seed=2**32 - 1)
        assert wakes == [] and events == []  # nothing leaves before the commit
    assert (batch.number, batch.prompt, batch.steps) == (1, "红玫瑰 | a red rose", 8)
    jobs = list(batch.jobs.order_by("position"))
    assert [j.frame for j in jobs] == [f"1-0{n}" for n in range(1, 7)]
    assert [j.seed for j in jobs] == [2**32 - 1, 0, 1] * 2
    assert [(j.ad_format_id, j.width, j.height) for j in jobs] == (
        [("taobao-main", 800, 800)] * 3 + [(None, 728, 90)] * 3)
    assert {(j.render_width, j.render_height, j.status) for j in jobs} == {(256, 256, "queued")}
    assert {j.team_id for j in jobs} == {cast.team.pk}
    found = account(cast.team, TODAY)
    assert (found.reserved, found.spent, found.period) == (6, 0, date(2026, 11, 1))
    assert all(ledger(j) == ["reserve"] for j in jobs) and quotas.mismatches() == []
    assert wakes == [1]
    assert events == [(f"campaign.{cast.campaign.pk}", {"type": "batch.created", "batch": batch.pk}),
                      ("workers", {"type": "queue.moved"})]
    line = Activity.objects.get()
    assert (line.verb, line.actor, line.data) == ("render.requested", cast.marketer, {"batch": 1, "pictures": 6})


def test_as_many_workers_are_woken_as_can_help(
    cast: Cast, wakes: list[int], django_capture_on_commit_callbacks: Commit,
) -> None:
    for n in range(4):
        worker(f"w{n}")
    worker("starting", state="starting")
    with django_capture_on_commit_callbacks(execute=True):
        ask(cast.marketer, cast.campaign, count=2)
        ask(cast.marketer, cast.campaign, count=8)
    assert wakes == [2, 4]


def test_the_same_key_is_the_same_batch(cast: Cast) -> None:
    key = uuid4()
    first = ask(cast.marketer, cast.campaign, key=key)
    assert ask(cast.marketer, cast.campaign, key=key, count=8) == first
    assert RenderJob.objects.count() == 2 and balance_of(cast) == (2, 0)
    assert Activity.objects.count() == 1
    assert Campaign.objects.get(pk=cast.campaign.pk).batch_count == 1


def balance_of(cast: Cast) -> tuple[int, int]:
    found = account(cast.team, TODAY)
    return found.reserved, found.spent


def test_the_same_key_is_the_same_batch_even_when_the_quota_is_gone(cast: Cast) -> None:
    key = uuid4()
    QuotaAccount.objects.filter(pk=account(cast.team, TODAY).pk).update(limit=2)
    first = ask(cast.marketer, cast.campaign, key=key)
    assert ask(cast.marketer, cast.campaign, key=key) == first


def test_another_person_may_have_the_same_key(cast: Cast) -> None:
    key = uuid4()
    assert ask(cast.marketer, cast.campaign, key=key) != ask(cast.admin, cast.campaign, key=key)


def test_a_key_used_in_another_campaign_is_refused(cast: Cast) -> None:
    key = uuid4()
    ask(cast.superuser, cast.other_campaign, key=key)
    with pytest.raises(Conflict, match="another campaign"):
        ask(cast.superuser, cast.campaign, key=key)
    assert not RenderBatch.objects.filter(campaign=cast.campaign).exists()


def test_an_exhausted_quota_says_what_is_left_and_queues_nothing(
    cast: Cast, wakes: list[int], events: list[Any], django_capture_on_commit_callbacks: Commit,
) -> None:
    QuotaAccount.objects.filter(pk=account(cast.team, TODAY).pk).update(limit=3)
    with django_capture_on_commit_callbacks(execute=True), pytest.raises(QuotaExceeded) as caught:
        ask(cast.marketer, cast.campaign, count=4)
    assert (caught.value.needed, caught.value.left, caught.value.status) == (4, 3, 409)
    assert "raise the limit" in caught.value.hint
    assert nothing_happened(cast) and wakes == [] and events == []
    assert ask(cast.marketer, cast.campaign, count=3).jobs.count() == 3


def test_a_viewer_and_a_stranger_may_not_ask(cast: Cast) -> None:
    for user in (cast.viewer, cast.stranger):
        with pytest.raises(Forbidden):
            ask(user, cast.campaign)
    assert nothing_happened(cast)


def test_an_archived_campaign_takes_nothing_even_when_it_was_archived_a_moment_ago(cast: Cast) -> None:
    seen_before = Campaign.objects.select_related("team").get(pk=cast.campaign.pk)
    Campaign.objects.filter(pk=cast.campaign.pk).update(status=Campaign.Status.ARCHIVED)
    with pytest.raises(Conflict, match="archived"):
        ask(cast.marketer, seen_before)
    assert nothing_happened(cast)


def test_batches_are_numbered_within_their_campaign(cast: Cast) -> None:
    numbers = [ask(cast.marketer, cast.campaign).number, ask(cast.admin, cast.campaign).number,
               ask(cast.stranger, cast.other_campaign).number]
    assert numbers == [1, 2, 1]


def test_a_failure_half_way_leaves_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**fields: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(quotas, "reserve", broken)
    with pytest.raises(RuntimeError):
        ask(cast.marketer, cast.campaign)
    assert nothing_happened(cast)


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_a_failed_picture_is_asked_for_again_with_the_same_seed(cast: Cast, status: JobStatus) -> None:
    batch = BatchFactory.create(
        campaign=cast.campaign, prompt_zh="红玫瑰", prompt_en="a red rose", prompt="红玫瑰 | a red rose")
    lost = job(cast.campaign, status=status, batch=batch, ad_format=ad_format(), width=800, height=800, seed=99)
    again = renders.retry(user=cast.admin, job=lost, card=CARD, today=timezone.localdate()).jobs.get()
    assert again.pk != lost.pk and again.batch.prompt == "红玫瑰 | a red rose"
    assert (again.seed, again.width, again.height, again.ad_format_id) == (99, 800, 800, "taobao-main")
    assert ledger(lost) == ["reserve", "release"] and ledger(again) == ["reserve"] and balance(cast.team) == (1, 0)


def test_a_retry_that_is_pressed_twice_is_one_retry(cast: Cast) -> None:
    lost = job(cast.campaign, status=JobStatus.FAILED)
    first, second = (renders.retry(user=cast.marketer, job=lost, card=CARD, today=TODAY) for _ in range(2))
    assert first == second and balance(cast.team) == (1, 0)
    again = first.jobs.get()
    RenderJob.objects.move(again.pk, JobStatus.CANCELLED, finished_at=timezone.now())
    assert renders.retry(user=cast.marketer, job=lost, card=CARD, today=TODAY) != first  # that one had ended


@pytest.mark.parametrize("status", [JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE])
def test_other_pictures_are_not_asked_for_again(cast: Cast, status: JobStatus) -> None:
    with pytest.raises(Conflict, match="Only a failed or cancelled"):
        renders.retry(user=cast.marketer, job=job(cast.campaign, status=status), card=CARD, today=TODAY)
    assert RenderJob.objects.count() == 1


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.DONE])
def test_a_viewer_may_not_ask_again_whatever_the_state(cast: Cast, status: JobStatus) -> None:
    with pytest.raises(Forbidden):
        renders.retry(user=cast.viewer, job=job(cast.campaign, status=status), card=CARD, today=TODAY)


def test_the_queue_is_numbered_in_the_order_of_taking(cast: Cast) -> None:
    worker(step_ms=200.0, rest_ms=400.0)
    mine = [job(cast.campaign) for _ in range(3)]
    theirs = job(cast.other_campaign)
    turns = dispatch.turns()
    assert sorted(turn.place for turn in turns.values()) == [1, 2, 3, 4]
    assert turns[theirs.pk].place == 2 and [turns[j.pk].place for j in mine] == [1, 3, 4]
    assert turns[mine[0].pk].seconds == 4.0


def test_a_wait_grows_with_the_steps_of_those_before(cast: Cast) -> None:
    worker("w1", step_ms=100.0, rest_ms=200.0)
    worker("w2", step_ms=300.0, rest_ms=400.0)  # together: 200 for a step, 300 for the rest
    first, second, third = (
        job(cast.campaign, batch=BatchFactory.create(campaign=cast.campaign, steps=steps)) for steps in (50, 1, 8))
    seconds = {pk: turn.seconds for pk, turn in dispatch.turns().items()}
    assert seconds == {
        first.pk: pytest.approx(10.3 / 2 + 10.3), second.pk: pytest.approx((10.3 + 0.5) / 2 + 0.5),
        third.pk: pytest.approx((10.3 + 0.5 + 1.9) / 2 + 1.9)}


def test_sampler_and_steps_are_kept_and_kept_again(cast: Cast) -> None:
    batch = ask(cast.marketer, cast.campaign, steps=20, sampler="unipc", count=1)
    assert (batch.steps, batch.sampler) == (20, "unipc")
    lost = batch.jobs.get()
    assert (lost.spec().steps, lost.spec().sampler) == (20, "unipc")
    RenderJob.objects.move(lost.pk, JobStatus.CANCELLED, finished_at=timezone.now())
    lost.refresh_from_db()
    again = renders.retry(user=cast.marketer, job=lost, card=CARD, today=TODAY)
    assert (again.steps, again.sampler) == (20, "unipc")
