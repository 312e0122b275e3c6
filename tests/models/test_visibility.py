from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db.models import QuerySet

from studio.domain.states import AssetStatus
from studio.models import Activity, Asset, Campaign, RenderJob, Review
from studio.services import activity
from tests.conftest import Cast
from tests.factories import asset

ROWS: list[Any] = [Campaign.objects, RenderJob.objects, Asset.objects, Review.objects, Activity.objects]
NAMES = ["campaigns", "jobs", "assets", "reviews", "activity"]


@pytest.fixture
def rows(cast: Cast) -> Cast:
    """One of everything in both teams."""
    for campaign in (cast.campaign, cast.other_campaign):
        activity.record(verb="campaign.created", campaign=campaign)
        asset(campaign, status=AssetStatus.IN_REVIEW)
    return cast


def _teams(found: QuerySet[Any]) -> set[int]:
    return {getattr(row, "team_id", None) or _campaign(row).team_id for row in found}


def _campaign(row: Any) -> Campaign:
    found: Campaign = row.asset.campaign if isinstance(row, Review) else row.campaign
    return found


@pytest.mark.parametrize("manager", ROWS, ids=NAMES)
@pytest.mark.parametrize("who", ["viewer", "marketer", "reviewer", "admin"])
def test_members_see_their_team_and_nothing_else(rows: Cast, who: str, manager: Any) -> None:
    assert _teams(manager.visible_to(rows.person(who))) == {rows.team.pk}


@pytest.mark.parametrize("manager", ROWS, ids=NAMES)
def test_strangers_superusers_and_nobody(rows: Cast, manager: Any) -> None:
    assert _teams(manager.visible_to(rows.stranger)) == {rows.other_team.pk}
    assert _teams(manager.visible_to(rows.superuser)) == {rows.team.pk, rows.other_team.pk}
    assert not manager.visible_to(AnonymousUser()).exists()


@pytest.mark.parametrize("manager", ROWS, ids=NAMES)
def test_a_member_of_two_teams_sees_each_row_once(rows: Cast, manager: Any) -> None:
    rows.viewer.memberships.create(team=rows.other_team, role="viewer")
    assert manager.visible_to(rows.person("viewer")).count() == manager.visible_to(rows.superuser).count() == 2
