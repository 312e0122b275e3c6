"""The pages of ad formats."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from studio.models import Activity, AdFormat
from tests.conftest import Cast, SignIn
from tests.factories import ad_format

pytestmark = pytest.mark.django_db


def fields(**changed: str) -> dict[str, str]:
    return {
        "name_zh": "抖音竖版", "name_en": "Douyin vertical", "platform": "Douyin", "width": "1080", "height": "1920",
        "max_bytes": "500000", "file_type": "webp", "checked_on": "2026-11-20", "active": "on", "label_rule": "AI mark",
        "safe_zones": "text 0 0 0.88 0.83 | 内容放在这里 | Keep the content here\ncovered 0 0.83 1 0.17"} | changed


def test_a_format_is_changed_and_seen_by_everybody(cast: Cast, sign_in: SignIn) -> None:
    preset = ad_format("douyin-9x16")
    client = sign_in(cast.superuser)
    assert client.post(reverse("admin-format", args=[preset.pk]), fields()).status_code == 302
    preset.refresh_from_db()
    assert (preset.file_type, preset.max_bytes, preset.checked_on) == ("webp", 500_000, date(2026, 11, 20))
    assert [zone["kind"] for zone in preset.safe_zones] == ["text", "covered"]
    assert preset.safe_zones[0]["note_en"] == "Keep the content here"
    form = client.get(reverse("admin-format", args=[preset.pk])).content.decode()
    assert "text 0 0 0.88 0.83 | 内容放在这里 | Keep the content here" in form
    listed = sign_in(cast.admin).get(reverse("admin-formats")).content.decode()
    assert "Douyin vertical" in listed and "New format" not in listed and "--zw:0.88" in listed
    assert Activity.objects.filter(verb="format.changed").count() == 2  # in the list of each team


def test_a_format_of_ones_own(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.superuser)
    sent = fields(key="own-9x16", safe_zones="", checked_on="", active="")
    assert client.post(reverse("new-format"), sent).status_code == 302
    made = AdFormat.objects.get(pk="own-9x16")
    assert not made.active and made.checked_on == timezone.localdate() and made.safe_zones == []
    assert client.post(reverse("new-format"), sent).status_code == 409


@pytest.mark.parametrize("changed", [
    {"name_zh": "", "name_en": ""}, {"platform": ""}, {"width": "0"}, {"width": "x"}, {"height": "99999"},
    {"width": "16", "height": "1080"}, {"max_bytes": "-1"}, {"max_bytes": "9" * 12}, {"file_type": "gif"},
    {"checked_on": "soon"}, {"checked_on": "2999-01-01"}, {"checked_on": "2026-02-31"},
    {"safe_zones": "text"}, {"safe_zones": "text 0 0 1"}, {"safe_zones": "text 0 0 nan 1"},
    {"safe_zones": "text 0.5 0 0.6 1"}, {"safe_zones": "spell 0 0 1 1"}, {"safe_zones": "text 0 0 1 1\n" * 13},
    {"safe_zones": "text -0.1 0 0.5 0.5"}, {"safe_zones": "text 0 0 0 0.5"},
])
def test_rules_that_make_no_sense(cast: Cast, sign_in: SignIn, changed: dict[str, str]) -> None:
    preset = ad_format("douyin-9x16")
    before = AdFormat.objects.filter(pk=preset.pk).values().get()
    sent = fields(note="as typed", **changed)
    response = sign_in(cast.superuser).post(reverse("admin-format", args=[preset.pk]), sent)
    assert response.status_code == 422 and "as typed" in response.content.decode()
    assert AdFormat.objects.filter(pk=preset.pk).values().get() == before


@pytest.mark.parametrize("key", ["", "Upper", "a b", "x" * 60, "\0"])
def test_a_key_that_is_none(cast: Cast, sign_in: SignIn, key: str) -> None:
    assert sign_in(cast.superuser).post(reverse("new-format"), fields(key=key)).status_code == 422


def test_what_was_checked_long_ago_says_so(cast: Cast, sign_in: SignIn) -> None:
    AdFormat.objects.filter(pk=ad_format().pk).update(checked_on=timezone.localdate() - timedelta(days=181))
    body: Any = sign_in(cast.admin).get(reverse("admin-formats")).content.decode()
    assert body.count("look again") == 1


def test_the_migrations_know_some_rules(cast: Cast) -> None:
    assert set(AdFormat.objects.filter(white_background=True).values_list("pk", flat=True)) == {
        "taobao-white", "amazon-main"}
    assert {row.pk for row in AdFormat.objects.all() if row.safe_zones} == {
        "douyin-9x16", "story-9x16", "wechat-lead", "wechat-moments"}
