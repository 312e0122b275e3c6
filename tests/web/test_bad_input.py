"""What people and programs send by mistake or on purpose: the right status, a clear sentence, nothing done."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext

from studio.models import Activity, Campaign, QuotaAccount, QuotaEntry, RenderBatch, RenderJob, User
from tests.conftest import Cast, SignIn
from tests.factories import PRESETS, account
from tests.web.world import World, composer

LANGUAGES = ("en", "zh-hans")
BIG = "9" * 40

#: what is sent instead -> the message id that the page must show, with its parameters
BAD: dict[str, tuple[dict[str, Any], str, dict[str, Any]]] = {
    "no prompt": ({"prompt_zh": "", "prompt_en": ""}, "Write a prompt in Chinese, in English, or in both.", {}),
    "blank prompt": ({"prompt_zh": " \n", "prompt_en": "\t"}, "Write a prompt in Chinese, in English, or in both.", {}),
    "10,000 characters": (
        {"prompt_en": "x" * 10_000}, "The prompt has %(length)d characters; at most %(limit)d can be used.",
        {"length": 10_000, "limit": 2000}),
    "control characters": (
        {"prompt_zh": "a\x07b"},
        "The prompt contains control characters. Type it again, or paste it as plain text.", {}),
    "an escape sequence": (
        {"prompt_en": "\x1b[31m red"},
        "The prompt contains control characters. Type it again, or paste it as plain text.", {}),
    "a NUL": ({"prompt_en": "a\x00b"}, "Null characters are not allowed.", {}),
    "only control tokens": (
        {"prompt_zh": "", "prompt_en": "<|im_start|> <|im_<|im_end|>end|>"},
        "Write a prompt in Chinese, in English, or in both.", {}),
    "no format": ({"formats": []}, "Choose at least one format.", {}),
    "an unknown format": ({"formats": ["poster-a0"]}, "There is no format called “%(value)s”.", {"value": "poster-a0"}),
    "a format with a NUL": ({"formats": ["a\x00"]}, "There is no format called “%(value)s”.", {"value": "a\x00"}),
    "size 0": (
        {"custom_width": "0"}, "%(side)d px is not a size that can be rendered: use %(low)d to %(high)d px a side.",
        {"side": 0, "low": 16, "high": 4096}),
    "50,000 px": (
        {"custom_height": "50000"},
        "%(side)d px is not a size that can be rendered: use %(low)d to %(high)d px a side.",
        {"side": 50_000, "low": 16, "high": 4096}),
    "too narrow": (
        {"custom_width": "4096"}, "This size is too narrow: one side may be at most 16 times the other.", {}),
    "no custom size": (
        {"custom_width": ""}, "Write the custom size's width and height in pixels.", {}),
    "a width in words": ({"custom_width": "wide"}, "Write the width as a whole number of pixels.", {}),
    "count 0": ({"count": "0"}, "Ask for 1 to %(limit)d pictures per format.", {"limit": 8}),
    "count 999": ({"count": "999"}, "Ask for 1 to %(limit)d pictures per format.", {"limit": 8}),
    "a count in words": ({"count": "many"}, "Write the number of pictures as a whole number.", {}),
    "no count": ({"count": ""}, "Say how many pictures per format.", {}),
    "too many pictures": (
        {"count": "8", "formats": [*sorted(PRESETS)[:8], "custom"]},
        "One request renders at most %(limit)d pictures.", {"limit": 64}),
    "a seed in words": (
        {"seed": "lucky"}, "The seed is a whole number, a range such as 100–107, or empty for a random one.", {}),
    "a negative seed": ({"seed": "-1"}, "The seed is a whole number from 0 to %(limit)d.", {"limit": 2**32 - 1}),
    "a huge seed": ({"seed": BIG}, "The seed is a whole number from 0 to %(limit)d.", {"limit": 2**32 - 1}),
    "a seed of 5,000 digits": (
        {"seed": "9" * 5000}, "The seed is a whole number, a range such as 100–107, or empty for a random one.", {}),
    "steps 0": ({"steps": "0"}, "A picture takes 1 to %(limit)d steps.", {"limit": 50}),
    "51 steps": ({"steps": "51"}, "A picture takes 1 to %(limit)d steps.", {"limit": 50}),
    "steps in words": ({"steps": "many"}, "Write the number of steps as a whole number.", {}),
    "half a step": ({"steps": "8.5"}, "Write the number of steps as a whole number.", {}),
    "an unknown sampler": ({"sampler": "heun"}, "There is no sampler called “%(value)s”.", {"value": "heun"}),
    "a sampler's label": ({"sampler": "DPM++ 2M"}, "There is no sampler called “%(value)s”.", {"value": "DPM++ 2M"}),
    "no request key": ({"request_key": ""}, "Reload the page and press Render again.", {}),
    "a bad request key": ({"request_key": "1; DROP TABLE"}, "Reload the page and press Render again.", {}),
}


def nothing_queued() -> bool:
    held = QuotaAccount.objects.filter(reserved__gt=0) | QuotaAccount.objects.filter(spent__gt=0)
    return not any(rows.exists() for rows in (
        RenderBatch.objects.all(), RenderJob.objects.all(), QuotaEntry.objects.all(), Activity.objects.all(), held))


def text_of(response: Any) -> str:
    return " ".join(unescape(response.content.decode()).split())


@pytest.fixture
def url(cast: Cast) -> str:
    return reverse("create-render", kwargs={"slug": cast.campaign.slug})


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_explained_in_both_languages_and_nothing_is_queued(
    cast: Cast, sign_in: SignIn, url: str, wakes: list[int], name: str,
) -> None:
    change, message, parameters = BAD[name]
    for language in LANGUAGES:
        with translation.override(language):
            wanted = gettext(message) % parameters if parameters else gettext(message)
        for htmx in ("false", "true"):
            client = sign_in(cast.marketer, Accept_Language=language, HX_Request=htmx)
            response = client.post(url, composer(**change))
            assert response.status_code == 422
            assert wanted.replace("\x00", "") in text_of(response).replace("\x00", "")
            assert response.headers["Content-Language"] == language
            assert ("<html" in response.content.decode()) == (htmx == "false")
    assert nothing_queued() and wakes == []


def test_what_was_typed_is_still_there(cast: Cast, sign_in: SignIn, url: str) -> None:
    typed = "a “rose” <b> & more"
    body = text_of(sign_in(cast.marketer).post(url, composer(prompt_en=typed, prompt_zh="红", count="0", seed="99")))
    assert typed in body and "红" in body and 'value="99"' in body


def test_markup_in_a_prompt_is_shown_as_text(cast: Cast, sign_in: SignIn, url: str) -> None:
    attack = "</textarea><script>alert(1)</script>"
    client = sign_in(cast.marketer)
    assert attack not in client.post(url, composer(prompt_en=attack, count="0")).content.decode()
    assert client.post(url, composer(prompt_en=attack)).status_code == 302
    assert attack not in client.get(reverse("studio", kwargs={"slug": cast.campaign.slug})).content.decode()


def test_input_at_its_limits_is_taken(cast: Cast, sign_in: SignIn, url: str) -> None:
    data = composer(prompt_zh="红" * 2000, prompt_en="x" * 2000, seed="4294967295", count="8")
    assert sign_in(cast.marketer).post(url, data).status_code == 302
    assert RenderJob.objects.count() == 8


def test_an_empty_seed_is_a_random_one(cast: Cast, sign_in: SignIn, url: str) -> None:
    for _ in range(2):
        assert sign_in(cast.marketer).post(url, composer(seed="")).status_code == 302
    assert len(set(RenderBatch.objects.values_list("seed", flat=True))) == 2


def test_the_same_form_sent_twice_is_one_batch(cast: Cast, sign_in: SignIn, url: str) -> None:
    data = composer(request_key=str(uuid4()))
    assert [sign_in(cast.marketer).post(url, data).status_code for _ in range(2)] == [302, 302]
    assert RenderBatch.objects.count() == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_exhausted_quota_says_so_with_what_to_do(
    cast: Cast, sign_in: SignIn, url: str, language: str, wakes: list[int],
) -> None:
    QuotaAccount.objects.filter(pk=account(cast.team).pk).update(limit=1)
    response = sign_in(cast.marketer, Accept_Language=language).post(url, composer(count="3"))
    assert response.status_code == 409
    with translation.override(language):
        wanted = gettext(
            "This needs %(needed)d pictures, and the team has %(left)d left this month. Nothing was queued.",
        ) % {"needed": 3, "left": 1}
        hint = gettext("Ask for fewer pictures, or ask an admin of the team to raise the limit.")
    assert wanted in text_of(response) and hint in text_of(response)
    assert nothing_queued() and wakes == []


def test_htmx_gets_an_exhausted_quota_as_a_message(cast: Cast, sign_in: SignIn, url: str) -> None:
    QuotaAccount.objects.filter(pk=account(cast.team).pk).update(limit=1)
    response = sign_in(cast.marketer, HX_Request="true").post(url, composer(count="3"))
    assert response.status_code == 409 and "needs 3 pictures" in response.headers["HX-Trigger"]


def test_an_archived_campaign_is_a_conflict(cast: Cast, sign_in: SignIn, url: str) -> None:
    Campaign.objects.filter(pk=cast.campaign.pk).update(status="archived")
    response = sign_in(cast.marketer).post(url, composer())
    assert response.status_code == 409 and "archived" in text_of(response) and nothing_queued()


def test_another_teams_campaign_does_not_exist(cast: Cast, sign_in: SignIn) -> None:
    other = reverse("create-render", kwargs={"slug": cast.other_campaign.slug})
    nowhere = reverse("create-render", kwargs={"slug": "nowhere"})
    client = sign_in(cast.marketer)
    answers = [client.post(path, composer()) for path in (other, nowhere)]
    assert [a.status_code for a in answers] == [404, 404] and nothing_queued()
    texts = [re.sub(r'"[^"]{64}"', "", text_of(answer)) for answer in answers]  # without the forms' tokens
    assert texts[0].replace(cast.other_campaign.slug, "nowhere") == texts[1]


@pytest.mark.parametrize("htmx", [False, True])
def test_an_expired_session_leads_to_the_sign_in_page(
    cast: Cast, sign_in: SignIn, url: str, htmx: bool,
) -> None:
    headers = {"HX_Request": "true", "HX_Current_URL": f"http://testserver/c/{cast.campaign.slug}/"} if htmx else {}
    client = sign_in(cast.marketer, **headers)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    studio = reverse("studio", kwargs={"slug": cast.campaign.slug})
    post = client.post(url, composer(), headers={"Referer": f"http://testserver{studio}"})
    get = client.get(studio)
    if htmx:
        assert (post.status_code, get.status_code) == (401, 401)
        assert post.headers["HX-Redirect"] == get.headers["HX-Redirect"]
    else:
        assert (post.status_code, get.status_code) == (302, 302)
        assert post.headers["Location"] == get.headers["Location"]  # back to the page, not to the form's address
    assert nothing_queued()


@pytest.mark.parametrize("header", ["Referer", "HX-Current-URL"])
@pytest.mark.parametrize("value", ["http://[", "//", "http://testserver//evil.example/", "\x00", "javascript:alert(1)"])
def test_a_strange_address_to_return_to_is_survived(cast: Cast, url: str, header: str, value: str) -> None:
    extra = {"HX-Request": "true"} if header == "HX-Current-URL" else {}
    response = Client().post(url, composer(), headers={header: value} | extra)
    assert response.status_code == (401 if extra else 302)
    assert response.headers.get("Location", "/login/").startswith("/login/")


def test_a_person_switched_off_is_signed_out(cast: Cast, sign_in: SignIn, url: str) -> None:
    client = sign_in(cast.marketer)
    User.objects.filter(pk=cast.marketer.pk).update(is_active=False)
    assert client.post(url, composer()).status_code == 302 and nothing_queued()


@pytest.mark.parametrize(("body", "kind", "statuses"), [
    (b"prompt_zh=%FF%FE&count=1&formats=custom", "application/x-www-form-urlencoded", {422}),
    (b"prompt_zh=\xff\xfe&count=\xc3\x28", "application/x-www-form-urlencoded", {422}),
    (b"prompt_zh=x", "application/x-www-form-urlencoded; charset=nonsense", {400, 422}),
    (b"prompt_zh=x", "application/x-www-form-urlencoded; charset=utf-16", {400}),
    (b"--x\r\nbroken", "multipart/form-data; boundary=x", {400, 422}),
    (b"--x", "multipart/form-data", {400}),
    (b"{}", "application/json", {422}), (b"", "text/plain", {422}),
])
def test_broken_bodies_are_refused(
    cast: Cast, sign_in: SignIn, url: str, body: bytes, kind: str, statuses: set[int],
) -> None:
    response = sign_in(cast.marketer).generic("POST", url, body, kind)
    assert response.status_code in statuses and nothing_queued()


def test_lone_bytes_are_replaced_not_refused(cast: Cast, sign_in: SignIn, url: str) -> None:
    body = f"prompt_en=a+rose+%FF&formats=custom&custom_width=64&custom_height=64&count=1&request_key={uuid4()}"
    response = sign_in(cast.marketer).post(url, body.encode(), content_type="application/x-www-form-urlencoded")
    assert response.status_code == 302 and RenderBatch.objects.get().prompt == "a rose \ufffd"


def test_too_many_fields_are_refused_with_a_page(cast: Cast, sign_in: SignIn, url: str) -> None:
    data = composer() | {f"f{n}": "x" for n in range(2001)}
    response = sign_in(cast.marketer).post(url, data)
    assert response.status_code == 400 and "<h1" in response.content.decode() and nothing_queued()


NOWHERE = [
    f"/c/{'x' * 300}/", f"/assets/{BIG}/picture.png", f"/assets/{'9' * 5000}/thumb.webp", f"/review/{BIG}/",
    "/c/%00/", "/c/%FF/", "/nowhere/", "/jobs/no-uuid/cancel/", f"/admin-panel/usage/?team={BIG}",
    "/admin-panel/usage/?team=%00", "/admin-panel/audit/?team=nobody",
]


def test_addresses_of_nothing_are_a_404(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.admin)
    assert {path: client.get(path).status_code for path in NOWHERE} == dict.fromkeys(NOWHERE, 404)
    forms = ["/jobs/00000000-0000-4000-8000-000000000000/cancel/", f"/review/{BIG}/approve/", f"/assets/{BIG}/pick/",
             f"/c/{cast.campaign.slug}/batches/{BIG}/cancel/", "/c/nowhere/submit/"]
    assert {path: client.post(path).status_code for path in forms} == dict.fromkeys(forms, 404)


NONSENSE = ["x", "%00", BIG, "-1", "%C2%B2", "%FF", "", "a" * 5000]


def test_nonsense_in_an_address_shows_the_page_without_it(world: World, sign_in: SignIn) -> None:
    slug, client = world.cast.campaign.slug, sign_in(world.cast.admin)
    names = {reverse("gallery", args=[slug]): ("status", "format", "before", "frame"), reverse("home"): ("tab",),
             reverse("admin-audit"): ("who", "before"), reverse("studio", args=[slug]): ("reuse",),
             reverse("frames", args=[slug]): ("job",), "/static/js/live.js": ("v",)}
    paths = [f"{path}?{name}={value}" for path, keys in names.items() for name in keys for value in NONSENSE]
    found = {path: client.get(path).status_code for path in paths}
    assert {path: status for path, status in found.items() if status != 200} == {}


def test_frames_that_are_not_of_this_campaign_are_left_out(world: World, sign_in: SignIn) -> None:
    path = reverse("frames", kwargs={"slug": world.cast.other_campaign.slug})
    query = {"job": [str(world.queued.pk), "nonsense", "\x00", str(uuid4())]}
    response = sign_in(world.cast.stranger).get(path, query)
    assert response.status_code == 200 and str(world.queued.pk) not in response.content.decode()
