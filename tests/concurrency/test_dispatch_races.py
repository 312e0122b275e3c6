"""Caps and chores under races: exact, whoever comes at the same moment."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from django.utils import timezone

from studio.domain.states import JobStatus
from studio.models import Campaign, Chore, RenderJob, Team
from studio.services import dispatch, quotas, renders, upkeep
from tests.concurrency.race import kinds, race
from tests.conftest import Cast
from tests.factories import CARD, job, render_request

THREADS = 8


def ask(cast: Cast, who: str) -> Any:
    return renders.request_render(
        user=cast.person(who), campaign=Campaign.objects.get(pk=cast.campaign.pk), request_key=uuid4(), card=CARD,
        request=render_request(count=2), today=timezone.localdate())


def test_the_line_of_a_team_never_gets_longer_than_allowed(cast: Cast, settings: Any) -> None:
    settings.QUEUED_PER_TEAM = 5
    results = race(*(partial(ask, cast, who) for who in ("marketer", "reviewer", "admin", "marketer") * 2))
    assert kinds(results) == {"ok": 2, "QueueFull": 6}
    assert RenderJob.objects.count() == 4 and quotas.mismatches() == []


def test_claims_at_once_keep_to_the_cap(cast: Cast, settings: Any) -> None:
    settings.RUNNING_PER_TEAM = 2
    for _ in range(THREADS):
        job(cast.campaign)
    results = race(*(partial(dispatch.claim_next, f"worker-{n}") for n in range(THREADS)))
    assert kinds(results) == {"ok": THREADS} and sum(result is not None for result in results) == 2
    assert RenderJob.objects.filter(status=JobStatus.RUNNING).count() == 2


def test_virtual_time_counts_every_claim(cast: Cast) -> None:
    jobs = [job(cast.campaign) for _ in range(THREADS)]
    race(*(partial(dispatch.claim_next, f"worker-{n}") for n in range(THREADS)))
    taken = RenderJob.objects.filter(status=JobStatus.RUNNING).count()
    assert taken and Team.objects.get(pk=cast.team.pk).virtual_time == taken * jobs[0].cost


def test_however_many_clocks_tick_a_chore_is_begun_once(cast: Cast) -> None:
    for _ in range(2):  # where there is no row yet, and where there is an old one
        results = race(*(partial(upkeep.begin, "upkeep", every=60) for _ in range(THREADS)))
        assert sorted(map(str, results)) == ["False"] * (THREADS - 1) + ["True"]
        Chore.objects.update(begun_at=timezone.now() - timedelta(minutes=2))
