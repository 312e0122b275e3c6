"""Queries per page are a budget, and more rows must not mean more queries."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from studio.domain.roles import Role
from studio.domain.states import AssetStatus, JobStatus
from studio.services import activity
from tests.conftest import SignIn
from tests.factories import BatchFactory, CampaignFactory, asset, job, member_of, model_entry, pool, worker
from tests.web.world import World

#: page -> most queries (session and person are two of them)
BUDGETS = {
    "home": 30, "studio": 30, "frames": 22, "gallery": 22, "review": 22, "admin-usage": 22, "admin-audit": 16,
    "admin-models": 16, "admin-workers": 18}


def _path(name: str, world: World) -> str:
    if name in ("studio", "gallery", "frames"):
        found = reverse(name, args=[world.cast.campaign.slug])
        return f"{found}?job={world.queued.pk}&job={world.draft.job_id}" if name == "frames" else found
    return reverse(name, args=[world.in_review.pk]) if name == "review" else reverse(name)


def _queries(client: Any, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as caught:
        assert client.get(path).status_code == 200
    return [query["sql"] for query in caught.captured_queries]


def _grow(world: World) -> None:
    """More of everything."""
    cast = world.cast
    for n in range(4):
        campaign = CampaignFactory.create(team=cast.team, created_by=cast.marketer)
        batch = BatchFactory.create(campaign=cast.campaign, requested_by=member_of(cast.team, Role.MARKETER))
        for status in set(JobStatus) - {JobStatus.DONE}:
            job(cast.campaign, batch=batch, status=status)
            job(campaign, status=status)
        for state in AssetStatus:
            asset(cast.campaign, by=batch.requested_by, status=state)
            asset(campaign, by=batch.requested_by, status=state)
        worker(f"more-{n}", job=job(cast.campaign, status=JobStatus.RUNNING), state="busy")
        pool(f"more-{n}", priority=n if n < 3 else None)
        model_entry(f"more-{n}")
        activity.record(verb="campaign.created", campaign=campaign, actor=batch.requested_by)


@pytest.mark.parametrize("name", BUDGETS)
def test_a_page_keeps_its_budget_however_much_there_is(world: World, sign_in: SignIn, name: str) -> None:
    client, path = sign_in(world.cast.person("admin")), _path(name, world)
    client.get(path)  # what is made on first use is not what this is about
    before = _queries(client, path)
    _grow(world)
    after = _queries(client, path)
    assert len(before) <= BUDGETS[name]
    assert len(after) <= len(before) + 1, "\n".join(after)
