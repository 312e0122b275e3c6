"""Signing in while the Redis that counts the attempts is away."""

from __future__ import annotations

import uuid

import pytest
from django.core.cache import cache
from django.urls import reverse
from pytest_django.fixtures import Settings

from tests.conftest import Cast, SignIn


@pytest.fixture
def away(settings: Settings) -> None:
    """Nothing listens there."""
    settings.CACHES = {"default": {
        "BACKEND": "studio.web.cache.RateCache", "LOCATION": f"unix:///nowhere/{uuid.uuid4()}.sock"}}


def test_people_sign_in_all_the_same(cast: Cast, sign_in: SignIn, away: None) -> None:
    cast.marketer.set_password("a good horse")
    cast.marketer.save()
    client, login = sign_in(None), reverse("account_login")
    for password, status in (("wrong", 200), ("a good horse", 302)):
        assert client.post(login, {"login": cast.marketer.email, "password": password}).status_code == status
    reset = sign_in(None).post(reverse("account_reset_password"), {"email": cast.marketer.email})
    assert reset.status_code == 302


def test_what_is_asked_of_a_cache_that_is_away(away: None) -> None:
    cache.set("a", 1)
    assert (cache.get("a", "nothing"), cache.add("a", 2), cache.delete("a")) == ("nothing", True, False)
