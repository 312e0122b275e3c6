"""What no browser sends by itself: an answer with the right status, never a 500."""

from __future__ import annotations

import pytest
from django.urls import reverse

from tests.conftest import Cast, SignIn
from tests.web.world import World


@pytest.mark.parametrize("cookie", [
    'sessionid="aaaaaaaaaaaaaaaa\\000"', 'django_language="a\\000"', 'csrftoken="\\000"', 'messages="\\000"'])
def test_a_cookie_with_a_nul_is_nobodys(cast: Cast, sign_in: SignIn, cookie: str) -> None:
    client = sign_in(None)
    assert client.get(reverse("home"), headers={"Cookie": cookie}).status_code == 302
    assert client.get(reverse("account_login"), headers={"Cookie": cookie}).status_code == 200


@pytest.mark.parametrize("address", ["http://[", "//", ""])
def test_a_strange_page_to_go_back_to_after_submitting(world: World, sign_in: SignIn, address: str) -> None:
    client = sign_in(world.cast.marketer, HX_Request="true", HX_Current_URL=address)
    path = reverse("submit", kwargs={"slug": world.cast.campaign.slug})
    answer = client.post(path, {"asset": world.draft.pk})
    assert answer.status_code == 204 and answer.headers["HX-Redirect"].startswith("/c/")


@pytest.mark.parametrize("target", ["http://[", "https://evil.example/", "//evil.example", "\x00"])
def test_signing_in_leads_only_to_this_studio(cast: Cast, sign_in: SignIn, target: str) -> None:
    cast.marketer.set_password("a good horse")
    cast.marketer.save()
    client = sign_in(None)
    login = reverse("account_login")
    assert client.get(login, {"next": target}).status_code == 200
    wrong = client.post(f"{login}?next=http://[", {"login": cast.marketer.email, "password": "\x00", "next": target})
    assert wrong.status_code == 200
    answer = client.post(login, {"login": cast.marketer.email, "password": "a good horse", "next": target})
    assert answer.status_code == 302 and answer.headers["Location"] in (reverse("home"), "%00")


@pytest.mark.parametrize("path", [
    "/password/reset/key/%00-a/", "/password/reset/key/zzzzzzzzzzzzz-a/", "/password/reset/key/1-set-password/",
    "/password/reset/key/1-%00/", "/inactive/", "/signup/", "/password/reset/done/", "/password/reset/key/done/",
    "/reauthenticate/", "/me/password/", "/me/password/set/", "/logout/"])
def test_every_account_page_has_a_template(cast: Cast, sign_in: SignIn, path: str) -> None:
    for person in (None, cast.marketer):
        for accept in ("*/*", "application/json"):
            assert sign_in(person, Accept=accept).get(path).status_code < 500


def test_a_password_reset_does_not_say_who_has_an_account(cast: Cast, sign_in: SignIn) -> None:
    answers = [sign_in(None).post(reverse("account_reset_password"), {"email": email})
               for email in (cast.marketer.email, "nobody@example.com")]
    assert [(a.status_code, a.headers.get("Location"), a.content) for a in answers] == [
        (302, reverse("account_reset_password_done"), b"")] * 2
