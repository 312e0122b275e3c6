"""Forms other than the composer: nonsense is explained, and nothing is changed."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from studio.models import Campaign
from tests.conftest import Cast, SignIn
from tests.factories import account
from tests.web.test_bad_input import BIG, text_of
from tests.web.world import World


@pytest.mark.parametrize(("data", "status", "says"), [
    ({"limit": ""}, 422, "whole number"), ({"limit": "many"}, 422, "whole number"),
    ({"limit": "1.5"}, 422, "whole number"),
    ({"limit": "-1"}, 422, "from 0 to"), ({"limit": BIG}, 422, "from 0 to"), ({"limit": "1"}, 409, "already used"),
    ({"limit": "\x00"}, 422, "whole number"),
])
def test_a_limit_that_makes_no_sense_is_explained(
    world: World, sign_in: SignIn, data: dict[str, str], status: int, says: str,
) -> None:
    path = reverse("change-limit", kwargs={"slug": world.cast.team.slug})
    response = sign_in(world.cast.admin, Accept_Language="en").post(path, data)
    assert response.status_code == status and says in text_of(response)
    assert account(world.cast.team).limit == 100


def test_a_confirmed_limit_below_use_is_taken(world: World, sign_in: SignIn) -> None:
    path = reverse("change-limit", kwargs={"slug": world.cast.team.slug})
    assert sign_in(world.cast.admin).post(path, {"limit": "1", "confirm": "on"}).status_code == 302


@pytest.mark.parametrize(("data", "says"), [
    ({"name_en": "", "name_zh": ""}, "Give the campaign a name"), ({"name_en": "x" * 81}, "at most 80 characters"),
    ({"deadline": "soon"}, "year-month-day"), ({"formats": ["nothing"]}, "no format called"),
    ({"team": "999999"}, "Choose one of your teams"), ({"name_en": "a\x00"}, "Null characters"),
    ({"team": "\x00"}, "Null characters"), ({"formats": ["\x00"]}, "Null characters"),
    ({"team": BIG}, "Choose one of your teams"),
])
def test_a_campaign_that_makes_no_sense_is_explained(
    cast: Cast, sign_in: SignIn, data: dict[str, Any], says: str,
) -> None:
    before = Campaign.objects.count()
    good = {"team": cast.team.pk, "name_en": "New", "formats": ["taobao-main"]}
    response = sign_in(cast.marketer, Accept_Language="en").post(reverse("campaign-new"), good | data)
    assert response.status_code == 422 and says in text_of(response) and Campaign.objects.count() == before


def test_a_comment_is_needed_and_has_a_limit(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.cast.reviewer, Accept_Language="en")
    path = reverse("request-changes", kwargs={"pk": world.in_review.pk})
    for comment, says in (("", "a comment is needed"), ("\x00", "a comment is needed"), ("x" * 2001, "at most 2000")):
        response = client.post(path, {"comment": comment})
        assert response.status_code == 422 and says in text_of(response)
    path = reverse("approve", kwargs={"pk": world.in_review.pk})
    assert client.post(path, {"comment": "x" * 2001}).status_code == 422


@pytest.mark.parametrize("assets", [[], ["x"], ["\x00"], [BIG], ["-1"], ["²"]])
def test_submitting_nothing_is_explained(world: World, sign_in: SignIn, assets: list[str]) -> None:
    path = reverse("submit", kwargs={"slug": world.cast.campaign.slug})
    response = sign_in(world.cast.marketer, Accept_Language="en").post(path, {"asset": assets})
    assert response.status_code == 422 and "Pick at least one" in text_of(response)


def test_another_teams_pictures_are_not_submitted(world: World, sign_in: SignIn) -> None:
    path = reverse("submit", kwargs={"slug": world.cast.other_campaign.slug})
    assert sign_in(world.cast.stranger).post(path, {"asset": [world.draft.pk]}).status_code == 422
    world.draft.refresh_from_db()
    assert world.draft.status == "draft"


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "\x00", "http://["])
def test_forms_lead_back_only_to_this_studio(world: World, sign_in: SignIn, target: str) -> None:
    response = sign_in(world.cast.viewer).post(reverse("me-theme"), {"theme": "dark", "next": target})
    assert response.status_code == 302 and response.headers["Location"] == reverse("me")


def test_a_strange_host_is_refused(client: Client) -> None:
    assert client.get("/healthz", headers={"Host": "evil.example"}).status_code == 400
