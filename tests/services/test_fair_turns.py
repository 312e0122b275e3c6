"""The claim takes jobs in the order of domain/fairness.py, and time without work can't be saved up."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

from studio.domain.fairness import Waiting, in_turn
from studio.domain.priority import Priority
from studio.domain.roles import Role
from studio.models import Campaign, RenderJob, Share, User
from studio.models.renders import OWN_ORDER
from studio.services import dispatch, renders
from tests.factories import CARD, BatchFactory, CampaignFactory, TeamFactory, job, member_of, render_request

pytestmark = pytest.mark.django_db
#: Multiples of a power of two: sums of them are exact, in Python and in both databases.
TIMES = (0.0, 0.25, 0.5, 3.0)


def crowd(random: Random) -> None:
    """Up to 4 teams of up to 3 people with up to 6 jobs each, with many ties."""
    now = timezone.now()
    for _ in range(random.randint(1, 4)):
        team = TeamFactory.create(virtual_time=random.choice(TIMES))
        for _ in range(random.randint(1, 3)):
            person = member_of(team, Role.MARKETER)
            campaign = CampaignFactory.create(team=team, created_by=person)
            for _ in range(random.randint(0, 6)):
                batch = BatchFactory.create(campaign=campaign, steps=random.choice([1, 2, 8]))
                made = job(
                    campaign, batch=batch, reserved=False, priority=random.choice(list(Priority)),
                    rank=random.choice([-1, 0, 0, 1]), render_width=random.choice([256, 512]), render_height=512)
                RenderJob.objects.filter(pk=made.pk).update(
                    created_at=now - timedelta(seconds=random.choice([0, 0, 5, 60])))
    for share in Share.objects.all():
        Share.objects.filter(pk=share.pk).update(virtual_time=random.choice(TIMES))


def expected() -> list[UUID]:
    """What the plain Python says of the rows as they are."""
    rows = RenderJob.objects.order_by("share", *OWN_ORDER).select_related("batch", "team", "share")
    return [one.key for one in in_turn(Waiting(
        row.pk, row.team_id, row.share_id, row.priority, row.created_at, row.cost, row.team.virtual_time,
        row.share.virtual_time) for row in rows)]


def take(jobs: int) -> list[RenderJob]:
    """So many claims, one after the other."""
    found = [dispatch.claim_next("worker-1") for _ in range(jobs)]
    return [one for one in found if one is not None]


@pytest.mark.parametrize("seed", range(12))
def test_jobs_are_claimed_in_the_order_that_the_plain_python_gives(seed: int) -> None:
    crowd(Random(seed))
    order, shown = expected(), list(dispatch.turns())
    assert [one.pk for one in take(len(order) + 1)] == order == shown


def asks(user: User, campaign: Campaign, pictures: int) -> None:
    for _ in range(pictures):
        renders.request_render(
            user=user, campaign=Campaign.objects.get(pk=campaign.pk), request=render_request(count=1),
            request_key=uuid4(), card=CARD, today=timezone.localdate())


def two_teams() -> list[tuple[User, Campaign]]:
    """The first one has rendered for a long time, the second one has never asked for anything."""
    found = []
    for _ in range(2):
        team = TeamFactory.create()
        person = member_of(team, Role.MARKETER)
        found.append((person, CampaignFactory.create(team=team, created_by=person)))
    asks(*found[0], 20)
    assert len(take(10)) == 10
    return found


def test_a_team_that_was_idle_for_long_gets_its_share_and_not_more() -> None:
    busy, idle = two_teams()
    asks(*idle, 10)
    teams = [one.team_id for one in take(10)]
    assert teams.count(busy[1].team_id) == teams.count(idle[1].team_id) == 5


def test_without_a_floor_the_idle_team_would_take_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The naive way, so that the test above can fail: virtual time stands still for who has no work."""
    monkeypatch.setattr(dispatch, "_begin_at", lambda row, floor: None)
    _busy, idle = two_teams()
    asks(*idle, 10)
    assert {one.team_id for one in take(10)} == {idle[1].team_id}


def test_a_person_who_was_idle_for_long_gets_their_share_and_not_more() -> None:
    busy, _other = two_teams()
    colleague = member_of(busy[1].team, Role.MARKETER)
    asks(colleague, busy[1], 10)
    people = [one.batch.requested_by_id for one in take(10)]
    assert people.count(colleague.pk) == people.count(busy[0].pk) == 5


def test_coming_and_going_gains_nothing() -> None:
    """Whoever asks for one picture at a time is served no more often than who queues all at once."""
    _busy, idle = two_teams()
    taken = []
    for _ in range(10):
        if not RenderJob.objects.waiting().filter(team=idle[1].team_id).exists():
            asks(*idle, 1)
        taken += [one.team_id for one in take(1)]
    assert 4 <= taken.count(idle[1].team_id) <= 6
