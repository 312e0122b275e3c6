"""The pages of brand kits."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from studio.models import Activity, BrandKit
from studio.services.brands import Content
from tests.conftest import Cast, SignIn
from tests.kits import brand_kit

pytestmark = pytest.mark.django_db


@pytest.fixture
def kit(cast: Cast) -> BrandKit:
    return brand_kit(cast.team, cast.reviewer, slug="rose", name_en="Rose")


def fields(kit: BrandKit, **changed: Any) -> dict[str, Any]:
    return {
        "name_en": "Rose", "style_zh": "晨光", "style_en": "morning light", "warned": "cheap",
        "palette": "墨绿 | dark green | #0a3d2c\n#C8102E", "blocked": "首选\n 最 爽 \n\n",
        "seen": Content.of(kit).mark} | changed


def test_a_kit_is_made_written_and_put_away(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.reviewer)
    path = client.post(reverse("brands"), {"name_en": "Rose", "name_zh": "玫瑰"}).headers["Location"]
    found = BrandKit.objects.get()
    assert client.post(path, fields(found)).status_code == 302
    found.refresh_from_db()
    assert found.palette == [{"zh": "墨绿", "en": "dark green", "hex": "#0A3D2C"},
                             {"zh": "#C8102E", "en": "#C8102E", "hex": "#C8102E"}]
    assert dict(found.terms.values_list("text", "action")) == {"首选": "block", "最 爽": "block", "cheap": "warn"}
    body = client.get(path).content.decode()
    assert "morning light" in body and "--c:#0A3D2C" in body and "最 爽" in body
    assert client.post(reverse("archive-brand", args=[found.slug]), {"archived": "1"}).status_code == 302
    assert "Archived" in client.get(reverse("brands")).content.decode()
    assert client.post(reverse("archive-brand", args=[found.slug]), {}).status_code == 302
    found.refresh_from_db()
    assert found.archived_at is None
    assert list(Activity.objects.order_by("pk").values_list("verb", flat=True)) == [
        "brand.created", "brand.changed", "brand.archived", "brand.restored"]


@pytest.mark.parametrize("changed", [
    {"name_en": ""}, {"style_en": "x" * 301}, {"palette": "green"}, {"palette": "a | b | #12"},
    {"palette": "#112233\n" * 25}, {"blocked": "x" * 61}, {"warned": "\n".join(f"w{n}" for n in range(301))},
])
def test_what_is_wrong_is_said_and_kept_as_typed(
    cast: Cast, sign_in: SignIn, kit: BrandKit, changed: dict[str, str],
) -> None:
    sent = fields(kit, **{"style_zh": "晨光里"} | changed)
    response = sign_in(cast.reviewer).post(reverse("brand", args=["rose"]), sent)
    assert response.status_code == 422 and "晨光里" in response.content.decode()
    kit.refresh_from_db()
    assert kit.style_zh == "" and not kit.terms.exists()


def test_a_change_in_between_is_not_overwritten(cast: Cast, sign_in: SignIn, kit: BrandKit) -> None:
    first, second = fields(kit), fields(kit, name_en="Late")
    assert sign_in(cast.reviewer).post(reverse("brand", args=["rose"]), first).status_code == 302
    late = sign_in(cast.admin).post(reverse("brand", args=["rose"]), second)
    assert late.status_code == 409 and "Late" in late.content.decode()
    kit.refresh_from_db()
    assert kit.name_en == "Rose"


def test_makers_and_other_teams_leave_it_alone(cast: Cast, sign_in: SignIn, kit: BrandKit) -> None:
    marketer = sign_in(cast.marketer)
    assert "Only reviewers and admins" in marketer.get(reverse("brand", args=["rose"])).content.decode()
    assert marketer.post(reverse("brand", args=["rose"]), fields(kit)).status_code == 403
    assert sign_in(cast.stranger).get(reverse("brand", args=["rose"])).status_code == 404


@pytest.mark.parametrize("data", [
    {"palette": "\0"}, {"lora": ["nope", "\0"], "weight-nope": "x"}, {"team": "9" * 30}, {}])
def test_strange_posts_break_nothing(cast: Cast, sign_in: SignIn, kit: BrandKit, data: dict[str, Any]) -> None:
    client = sign_in(cast.reviewer)
    assert client.post(reverse("brand", args=["rose"]), fields(kit, **data)).status_code in (302, 422)
    assert client.post(reverse("brands"), data).status_code == 422
