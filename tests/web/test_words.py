"""Words that must not appear: the list, and what it does to what is asked for."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from studio.domain.states import AssetStatus
from studio.models import Activity, BrandKit, RenderBatch, Term
from studio.services import terms
from tests.conftest import Cast, SignIn
from tests.factories import asset
from tests.kits import brand_kit, template, version
from tests.web.world import composer

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _list(db: None) -> None:
    """Two words, whatever the list was."""
    Term.objects.all().delete()
    Term.objects.create(text="国家级", action="block", source="广告法第九条")
    Term.objects.create(text="首选", action="warn", source="广告法第九条")


def _render(client: Client, cast: Cast, **fields: Any) -> Any:
    return client.post(reverse("create-render", args=[cast.campaign.slug]), composer(**fields))


def test_picture_text_that_is_forbidden_is_not_rendered(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.marketer)
    response = _render(client, cast, prompt_zh="红玫瑰，写「国 家 级 品质」", prompt_en="")
    assert response.status_code == 422 and "“国 家 级” must not appear: 广告法第九条" in response.content.decode()
    assert not RenderBatch.objects.exists()
    assert _render(client, cast, prompt_zh="国家级博物馆里的红玫瑰", prompt_en="").status_code == 302  # no picture text


@pytest.mark.parametrize("prompt", ["“Mum’s 国家级 cake”", "「" + "花" * 300 + "国家级」", '"国家级"', "『国家级』"])
def test_picture_text_ends_with_its_own_quotation_mark(cast: Cast, sign_in: SignIn, prompt: str) -> None:
    assert _render(sign_in(cast.marketer), cast, prompt_zh=prompt, prompt_en="").status_code == 422


def test_a_templates_variables_are_checked(cast: Cast, sign_in: SignIn) -> None:
    made = version(template(cast.team, cast.marketer))
    values = {"version": made.pk, "v-product-zh": "国家级花", "v-product-en": "flower", "v-tone-zh": "粉色"}
    assert _render(sign_in(cast.marketer), cast, **values).status_code == 422
    assert _render(sign_in(cast.marketer), cast, **(values | {"v-product-zh": "首选花"})).status_code == 302


def test_a_kits_own_words_style_and_loras(cast: Cast, sign_in: SignIn) -> None:
    kit: BrandKit = brand_kit(cast.team, cast.marketer, style_zh="晨光", style_en="morning light")
    Term.objects.create(kit=kit, text="首选", action="block", note="brand book")
    cast.campaign.brand_kit = kit
    cast.campaign.save()
    client = sign_in(cast.marketer)
    assert _render(client, cast, prompt_zh="写「首选」", prompt_en="").status_code == 422
    assert _render(client, cast, prompt_zh="红玫瑰", prompt_en="a red rose").status_code == 302
    batch = RenderBatch.objects.get()
    assert (batch.prompt_zh, batch.prompt_en) == ("红玫瑰，晨光", "a red rose, morning light")
    assert _render(client, cast, prompt_zh="", prompt_en="a rose in morning light").status_code == 302
    assert RenderBatch.objects.latest("pk").prompt_en == "a rose in morning light"


def test_a_kit_makes_a_word_stricter_and_never_milder(cast: Cast) -> None:
    kit: BrandKit = brand_kit(cast.team, cast.marketer)
    for text, action in (("国家级", "warn"), ("首选", "block")):
        Term.objects.create(kit=kit, text=text, action=action)
    assert {one.text: str(one.action) for one in terms.known(kit)} == {"国家级": "block", "首选": "block"}
    assert {one.text: str(one.action) for one in terms.known(None)} == {"国家级": "block", "首选": "warn"}


def test_a_kit_that_asks_for_too_much_keeps_nobody_from_rendering(cast: Cast, sign_in: SignIn) -> None:
    kit = brand_kit(cast.team, cast.marketer, style_zh="晨光", style_en="x" * 300,
                    loras=[{"name": f"gone-{n}", "weight": 1.0} for n in range(6)])
    cast.campaign.brand_kit = kit
    cast.campaign.save()
    response = _render(sign_in(cast.marketer), cast, prompt_zh="红玫瑰", prompt_en="a rose " * 285)
    batch = RenderBatch.objects.get()
    assert response.status_code == 302 and batch.loras == []
    # One phrase that does not fit leaves the other where it belongs.
    assert batch.prompt_zh == "红玫瑰，晨光" and batch.prompt_en == ("a rose " * 285).strip()


def test_the_composer_hears_of_words_while_it_is_filled(cast: Cast, sign_in: SignIn) -> None:
    found = sign_in(cast.marketer).post(reverse("tokens"), {
        "prompt_zh": "写「首选」", "prompt_en": "", "value": ["国家级", "x"]}).json()
    assert found["words"] == ["国家级", "首选"]


def test_the_composer_hears_of_its_campaigns_own_words(cast: Cast, sign_in: SignIn) -> None:
    cast.campaign.brand_kit = brand_kit(cast.team, cast.marketer)
    cast.campaign.save()
    Term.objects.create(kit=cast.campaign.brand_kit, text="云上", action="warn")
    sent = {"prompt_zh": "写「云上」", "campaign": cast.campaign.slug}
    assert sign_in(cast.marketer).post(reverse("tokens"), sent).json()["words"] == ["云上"]
    assert sign_in(cast.stranger).post(reverse("tokens"), sent).json()["words"] == []  # not theirs to see
    assert sign_in(cast.marketer).post(reverse("tokens"), sent | {"campaign": "\0"}).json()["words"] == []


def test_the_reviewer_is_told_of_a_word(cast: Cast, sign_in: SignIn) -> None:
    made = asset(cast.campaign, status=AssetStatus.IN_REVIEW)
    page = reverse("review", args=[made.pk])
    assert "needs a second look" not in sign_in(cast.reviewer).get(page).content.decode()
    RenderBatch.objects.update(prompt_zh="写「首选」")
    assert "“首选” needs a second look" in sign_in(cast.reviewer).get(page).content.decode()


def test_admins_of_every_team_change_the_list(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.superuser)
    assert client.post(reverse("add-word"), {"text": " 王 者 ", "action": "warn", "source": "x"}).status_code == 302
    made = Term.objects.get(text="王 者")
    assert client.post(reverse("change-word", args=[made.pk]), {"action": "block"}).status_code == 302
    made.refresh_from_db()
    assert made.action == "block"
    assert "王 者" in client.get(reverse("admin-words")).content.decode()
    assert client.post(reverse("change-word", args=[made.pk]), {"action": "remove"}).status_code == 302
    assert not Term.objects.filter(text="王 者").exists()
    assert set(Activity.objects.values_list("verb", flat=True)) == {"term.added", "term.changed", "term.removed"}
    body = sign_in(cast.admin).get(reverse("admin-words")).content.decode()
    assert "国家级" in body and 'name="text"' not in body and "only an admin of every team" in body


@pytest.mark.parametrize("fields", [
    {}, {"text": ""}, {"text": "x" * 61, "action": "warn"}, {"text": "国家级", "action": "warn"},
    {"text": "x", "action": "explode"}, {"text": "a\0b", "action": "warn"}])
def test_a_word_that_cannot_be_taken(cast: Cast, sign_in: SignIn, fields: dict[str, str]) -> None:
    assert sign_in(cast.superuser).post(reverse("add-word"), fields).status_code == 422
    assert Term.objects.count() == 2


def test_the_shipped_list_is_plain(cast: Cast) -> None:
    import csv
    from pathlib import Path

    path = Path(terms.__file__).parents[1] / "data" / "terms.csv"
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    assert len(rows) == len({row["text"] for row in rows}) >= 50
    assert {row["action"] for row in rows} == {"block", "warn"} and all(row["source"] for row in rows)
