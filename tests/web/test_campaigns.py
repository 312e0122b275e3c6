"""A campaign as a plan: brief, overview, copies, putting away."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from studio.domain.errors import BudgetExceeded
from studio.domain.states import AssetStatus, JobStatus
from studio.models import Activity, Campaign, RenderBatch
from studio.services import campaigns, renders
from studio.services.campaigns import Plan
from tests.conftest import Cast, SignIn
from tests.factories import CARD, ad_format, asset, balance, job, render_request
from tests.kits import brand_kit
from tests.web.world import composer

pytestmark = pytest.mark.django_db


def _url(cast: Cast, name: str = "campaign-edit") -> str:
    return reverse(name, args=[cast.campaign.slug])


def fields(cast: Cast, **changed: Any) -> dict[str, Any]:
    return {"name_en": "Spring", "goal": "Bring people back.", "formats": ["taobao-main"], "count-taobao-main": "3",
            "budget": "40", "people": [cast.marketer.pk, cast.reviewer.pk], "starts_on": "2026-12-01",
            "deadline": "2026-12-24", "seen": Plan.of(cast.campaign).mark} | changed


def test_the_plan_is_changed_and_shown(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.marketer)
    assert client.post(_url(cast), fields(cast)).status_code == 302
    cast.campaign.refresh_from_db()
    plan = Plan.of(cast.campaign)
    assert (plan.name_en, plan.budget, plan.needs) == ("Spring", 40, {ad_format(): 3})
    assert set(plan.people) == {cast.marketer, cast.reviewer}
    body = client.get(_url(cast, "overview")).content.decode()
    assert "Bring people back." in body and "40 of 40 pictures left" in body and "/ 3" in body
    form = client.get(_url(cast)).content.decode()
    assert 'value="2026-12-24"' in form and 'value="3"' in form and plan.mark in form
    assert Activity.objects.filter(verb="campaign.changed").count() == 1


@pytest.mark.parametrize(("changed", "said"), [
    ({"name_en": ""}, "Give the campaign a name"), ({"starts_on": "2027-01-01"}, "starts after its deadline"),
    ({"goal": "x" * 4001}, "at most 4000"), ({"budget": "-1"}, "whole number of pictures"),
    ({"budget": "many"}, "whole number of pictures"), ({"budget": "9" * 40}, "whole number of pictures"),
    ({"count-taobao-main": "0"}, "how many pictures of each format"), ({"count-taobao-main": "x"}, "how many pictures"),
    ({"formats": ["nope"]}, "no format called"), ({"people": ["999999"]}, "Only people of the team"),
    ({"people": ["x"]}, "Only people of the team"), ({"brand_kit": "7"}, "brand kits"),
    ({"deadline": "soon"}, "year-month-day"), ({"goal": "a\0b"}, "Null characters"),
])
def test_a_plan_that_makes_no_sense(cast: Cast, sign_in: SignIn, changed: dict[str, Any], said: str) -> None:
    before = Plan.of(cast.campaign).mark
    response = sign_in(cast.marketer).post(_url(cast), fields(cast, message="kept as typed", **changed))
    assert response.status_code == 422 and said in response.content.decode().replace("&#x27;", "'")
    assert "kept as typed" in response.content.decode() and Plan.of(cast.campaign).mark == before


def test_a_kit_is_the_teams_own(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.marketer)
    theirs = brand_kit(cast.other_team, cast.stranger)
    assert client.post(_url(cast), fields(cast, brand_kit=theirs.pk)).status_code == 422
    ours = brand_kit(cast.team, cast.marketer)
    assert client.post(_url(cast), fields(cast, brand_kit=ours.pk)).status_code == 302


def test_a_change_in_between_is_not_overwritten(cast: Cast, sign_in: SignIn) -> None:
    first, second = fields(cast), fields(cast, name_en="Summer")
    assert sign_in(cast.marketer).post(_url(cast), first).status_code == 302
    late = sign_in(cast.reviewer).post(_url(cast), second)
    assert late.status_code == 409 and "Summer" in late.content.decode()
    cast.campaign.refresh_from_db()
    assert cast.campaign.name_en == "Spring"


def test_the_overview_counts_by_format_and_day(
    cast: Cast, sign_in: SignIn, django_assert_max_num_queries: Any,
) -> None:
    sign_in(cast.marketer).post(_url(cast), fields(cast))
    for status in (AssetStatus.APPROVED, AssetStatus.IN_REVIEW, AssetStatus.DRAFT, AssetStatus.CHANGES):
        asset(cast.campaign, status=status, ad_format=ad_format())
    asset(cast.campaign)  # of no format
    client = sign_in(cast.viewer)
    with django_assert_max_num_queries(22):
        body = client.get(_url(cast, "overview")).content.decode()
    assert "1 / 3" in body and "2 approved pictures are still missing." in body and "Own size" in body
    assert "35 of 40 pictures left" in body


def test_a_copy_has_the_plan_and_none_of_the_pictures(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.marketer)
    client.post(_url(cast), fields(cast))
    asset(cast.campaign)
    assert client.post(_url(cast, "campaign-act"), {"do": "duplicate"}).status_code == 302
    copy = Campaign.objects.get(name_en="Spring (copy)")
    assert (copy.status, copy.goal, copy.budget, copy.deadline) == ("planning", "Bring people back.", 40, None)
    assert copy.needs.get().count == 3 and copy.people.count() == 2 and not copy.assets.exists()
    assert "Spring (copy)" in client.get(reverse("home") + "?tab=planning").content.decode()


def test_planned_running_archived_and_back(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.marketer)
    for do, status in (("archive", "archived"), ("archive", "archived"), ("restore", "running"), ("start", "running")):
        assert client.post(_url(cast, "campaign-act"), {"do": do}).status_code == 302
        cast.campaign.refresh_from_db()
        assert cast.campaign.status == status
    assert Activity.objects.filter(verb="campaign.archived").count() == 1


def test_what_still_renders_is_not_archived(cast: Cast, sign_in: SignIn) -> None:
    waiting = job(cast.campaign)
    client = sign_in(cast.marketer)
    client.post(_url(cast, "campaign-act"), {"do": "archive"})
    cast.campaign.refresh_from_db()
    assert cast.campaign.status == "running"
    waiting.status = JobStatus.CANCELLED
    waiting.finished_at = timezone.now()
    waiting.save()
    client.post(_url(cast, "campaign-act"), {"do": "archive"})
    cast.campaign.refresh_from_db()
    assert cast.campaign.status == "archived"
    body = client.get(_url(cast, "studio")).content.decode()
    assert "Restore it on its overview" in body and 'type="submit" data-key="ctrl+enter"' not in body


@pytest.mark.parametrize("do", ["", "explode"])
def test_nothing_to_do(cast: Cast, sign_in: SignIn, do: str) -> None:
    assert sign_in(cast.marketer).post(_url(cast, "campaign-act"), {"do": do}).status_code == 404


def test_the_budget_is_kept(cast: Cast, sign_in: SignIn) -> None:
    Campaign.objects.update(budget=3)
    asset(cast.campaign)  # one is delivered
    job(cast.campaign, status=JobStatus.FAILED)  # and this one is not
    cast.campaign.refresh_from_db()
    before = balance(cast.team)
    with pytest.raises(BudgetExceeded):
        renders.request_render(
            user=cast.marketer, campaign=cast.campaign, request=render_request(count=3), card=CARD,
            request_key=uuid4(), today=timezone.localdate())
    assert balance(cast.team) == before
    client = sign_in(cast.marketer)
    response = client.post(reverse("create-render", args=[cast.campaign.slug]), composer(count=2))
    assert response.status_code == 302 and campaigns.budget_left(cast.campaign) == 0
    again = client.post(reverse("create-render", args=[cast.campaign.slug]), composer(count=1))
    assert again.status_code == 409 and "budget" in again.content.decode()
    assert RenderBatch.objects.filter(campaign=cast.campaign).count() == 3


def test_dates_of_long_ago_break_nothing(cast: Cast, sign_in: SignIn) -> None:
    made = asset(cast.campaign)
    type(made).objects.update(created_at=timezone.now() - timedelta(days=400))
    assert sign_in(cast.viewer).get(_url(cast, "overview")).status_code == 200
