from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext

from studio.models import User
from tests.conftest import Cast, SignIn


def _language(client: Client, path: str = "/login/", **headers: str) -> str:
    response = client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    found: str = response.headers["Content-Language"]
    tag = "zh-CN" if found == "zh-hans" else found
    assert f'<html lang="{tag}"' in response.content.decode()
    return found


@pytest.mark.django_db
@pytest.mark.parametrize(("wanted", "found"), [
    ("zh-CN,zh;q=0.9,en;q=0.8", "zh-hans"), ("zh", "zh-hans"), ("en-GB,en", "en"), ("de", "en"), ("", "en"),
    ("*", "en"), ("x" * 3000, "en"), ("de, zh-Hans;q=0.5", "zh-hans"),
])
def test_a_stranger_reads_the_browsers_language(client: Client, wanted: str, found: str) -> None:
    assert _language(client, Accept_Language=wanted) == found


def test_a_stranger_can_switch_and_it_is_kept(db: None, client: Client) -> None:
    response = client.post(reverse("me-language"), {"language": "zh-hans", "next": "/login/"})
    assert (response.status_code, response.headers["Location"]) == (302, "/login/")
    assert _language(client, Accept_Language="en") == "zh-hans"


def test_a_persons_choice_is_theirs_on_every_browser(cast: Cast, sign_in: SignIn) -> None:
    sign_in(cast.viewer, Accept_Language="en").post(reverse("me-language"), {"language": "zh-hans"})
    assert User.objects.get(pk=cast.viewer.pk).language == "zh-hans"
    assert _language(sign_in(cast.viewer), "/me/", Accept_Language="en") == "zh-hans"


def test_a_person_without_a_choice_reads_the_browsers_language(cast: Cast, sign_in: SignIn) -> None:
    assert _language(sign_in(cast.viewer), "/me/", Accept_Language="zh-CN") == "zh-hans"
    assert _language(sign_in(cast.viewer), "/me/", Accept_Language="en") == "en"


@pytest.mark.parametrize("language", ["tlh", "", "\x00", "zh-hans'--", "x" * 500])
def test_an_unknown_language_is_not_kept(cast: Cast, sign_in: SignIn, language: str) -> None:
    response = sign_in(cast.viewer, Accept_Language="en").post(reverse("me-language"), {"language": language})
    assert response.status_code == 302 and response.cookies["django_language"].value == "en"
    assert User.objects.get(pk=cast.viewer.pk).language == "en"


def test_refusals_speak_the_persons_language(cast: Cast, sign_in: SignIn) -> None:
    reason = "Only admins of the team can do this."
    with translation.override("zh-hans"):
        chinese = gettext(reason)
    assert chinese != reason, "the catalogue is compiled by manage.py compile_messages"
    for language, text in (("en", reason), ("zh-hans", chinese)):
        body = sign_in(cast.viewer, Accept_Language=language).get(reverse("admin-usage")).content.decode()
        assert text in body


@pytest.mark.parametrize(("sent", "kept"), [("dark", "dark"), ("light", "light"), ("auto", "auto"), ("pink", "auto"),
                                            ("", "auto"), ("\x00", "auto")])
def test_the_theme_is_kept_and_shown(cast: Cast, sign_in: SignIn, sent: str, kept: str) -> None:
    client = sign_in(cast.viewer)
    assert client.post(reverse("me-theme"), {"theme": sent}).status_code == 302
    assert User.objects.get(pk=cast.viewer.pk).theme == kept
    assert f'data-theme="{kept}"' in client.get("/me/").content.decode()


def test_single_keys_can_be_switched_off(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.viewer)
    assert 'data-hotkeys="on"' in client.get("/me/").content.decode()
    client.post(reverse("me-hotkeys"), {})
    assert not User.objects.get(pk=cast.viewer.pk).hotkeys
    assert 'data-hotkeys="on"' not in client.get("/me/").content.decode()
