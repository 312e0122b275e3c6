from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, override_settings
from django.urls import reverse

from tests.conftest import SignIn
from tests.web.world import World


def _policy(response: Any) -> dict[str, str]:
    parts = response.headers["Content-Security-Policy"].split("; ")
    return {name: rest for name, _space, rest in (part.partition(" ") for part in parts)}


def test_nothing_from_elsewhere_runs(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.cast.admin, Host="testserver")
    for path in ("/", reverse("studio", args=[world.cast.campaign.slug]), "/nowhere/", "/healthz"):
        policy = _policy(client.get(path))
        assert policy["script-src"] == policy["style-src"] == policy["default-src"] == "'self'"
        assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
        assert policy["img-src"] == "'self' data: blob:" and policy["form-action"] == "'self'"
        assert policy["connect-src"] == "'self'"  # which covers sockets of the same host (CSP 3)


@pytest.mark.django_db
def test_every_page_has_the_security_headers(client: Client) -> None:
    for path in ("/login/", "/nowhere/", "/healthz"):
        headers = client.get(path).headers
        assert headers["X-Frame-Options"] == "DENY" and headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin" and headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert "camera=()" in headers["Permissions-Policy"]


def test_pages_are_kept_by_nobody(world: World, sign_in: SignIn) -> None:
    headers = sign_in(world.cast.viewer).get("/").headers
    assert headers["Cache-Control"] == "private, no-store"
    assert {"HX-Request", "Cookie", "Accept-Language"} <= set(headers["Vary"].split(", "))


def test_pages_hold_no_script_or_style_of_their_own(world: World, sign_in: SignIn) -> None:
    """The policy would silently drop them."""
    slug = world.cast.campaign.slug
    pages = ["/", "/me/", reverse("studio", args=[slug]), reverse("gallery", args=[slug]), "/admin-panel/usage/",
             "/admin-panel/audit/", reverse("review", args=[world.in_review.pk]), "/campaigns/new/", "/nowhere/"]
    client = sign_in(world.cast.admin)
    for path in pages:
        body = client.get(path).content.decode()
        assert "<style" not in body and "javascript:" not in body, path
        for piece in body.split("<script")[1:]:
            tag = piece.partition(">")[0]
            assert "src=" in tag or 'type="application/json"' in tag, (path, tag)
        assert " onclick=" not in body and " onload=" not in body and " hx-on" not in body, path


@pytest.mark.django_db
def test_the_session_cookie_is_out_of_reach_for_scripts(world: World, sign_in: SignIn) -> None:
    client = Client()
    response = client.post("/login/", {"login": world.cast.viewer.email, "password": "correct horse battery"})
    assert response.status_code == 302 and response.headers["Location"] == "/"
    cookie = response.cookies["sessionid"]
    assert cookie["httponly"] and cookie["samesite"] == "Lax"


@override_settings(SECURE_SSL_REDIRECT=True, SECURE_HSTS_SECONDS=31_536_000)
def test_production_insists_on_https_but_answers_health_checks(db: None) -> None:
    client = Client()
    assert client.get("/login/").headers["Location"] == "https://testserver/login/"
    assert client.get("/healthz").status_code == 200
    assert "max-age=31536000" in client.get("/login/", secure=True).headers["Strict-Transport-Security"]
