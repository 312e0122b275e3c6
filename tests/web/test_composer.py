"""The composer beyond a free prompt: templates, drafts, earlier prompts, ideas, ranges of seeds."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from studio.domain.templating import TemplateStatus
from studio.models import Draft, Product, RenderBatch, TemplateVersion
from studio.services import drafts
from tests.conftest import Cast, SignIn
from tests.factories import BatchFactory
from tests.kits import template, version
from tests.web.world import composer

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(cast: Cast) -> TemplateVersion:
    return version(template(cast.team, cast.marketer, name_en="Flowers"), settings={"steps": 4, "count": 1})


def _path(cast: Cast, name: str = "create-render") -> str:
    return reverse(name, args=[cast.campaign.slug])


def _filled(made: TemplateVersion, **fields: Any) -> dict[str, Any]:
    return composer(**({"version": made.pk, "v-product-zh": "牡丹", "v-product-en": "peony", "v-tone-zh": "粉色",
                        "v-accent-zh": "", "v-pieces-zh": "3"} | fields))


def test_a_template_is_filled_and_remembered(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    client = sign_in(cast.marketer)
    response = client.post(_path(cast), _filled(made, prompt_en="something else"))
    assert response.status_code == 302
    batch = RenderBatch.objects.get()
    assert (batch.prompt_zh, batch.prompt_en) == ("粉色背景上的牡丹3", "a peony on a pink background  3")
    assert batch.version == made and batch.values["tone"] == {"zh": "粉色", "en": "pink"}
    body = client.get(_path(cast, "studio")).content.decode()
    assert 'value="peony"' in body and "a peony on a pink background" in body and "readonly" in body


@pytest.mark.parametrize(("fields", "said"), [
    ({"v-product-zh": "", "v-product-en": ""}, "“product” is missing."),
    ({"v-product-zh": "x" * 13}, "at most 12 are allowed"),
    ({"v-tone-zh": "green"}, "not among the options"),
    ({"v-accent-zh": "red"}, "is no colour"),
    ({"v-pieces-zh": "10"}, "is at most 9"),
])
def test_what_is_wrong_stands_at_the_variable(
    cast: Cast, sign_in: SignIn, made: TemplateVersion, fields: dict[str, str], said: str,
) -> None:
    response = sign_in(cast.marketer).post(_path(cast), _filled(made, **fields))
    assert response.status_code == 422 and not RenderBatch.objects.exists()
    body = response.content.decode()
    assert said in body and "Fill in what the template asks for." in body
    assert 'value="peony"' in body or not fields.get("v-product-zh", "x")  # what was typed is still there


@pytest.mark.parametrize("change", [
    {"status": TemplateStatus.DRAFT}, {"status": TemplateStatus.RETIRED}])
def test_only_published_templates_are_taken(
    cast: Cast, sign_in: SignIn, made: TemplateVersion, change: dict[str, Any],
) -> None:
    TemplateVersion.objects.filter(pk=made.pk).update(**change)
    response = sign_in(cast.marketer).post(_path(cast), _filled(made))
    assert response.status_code == 422 and b"no longer offered" in response.content


def test_templates_of_other_teams_are_offered_when_they_are_shared(cast: Cast, sign_in: SignIn) -> None:
    theirs = version(template(cast.other_team, cast.stranger, name_en="Theirs"))
    client = sign_in(cast.marketer)
    assert b"Theirs" not in client.get(_path(cast, "studio")).content
    assert client.post(_path(cast), _filled(theirs)).status_code == 422
    type(theirs.template).objects.update(shared=True)
    assert b"Theirs" in client.get(_path(cast, "studio")).content
    assert client.post(_path(cast), _filled(theirs)).status_code == 302


@pytest.mark.parametrize("pk", ["x", "\0", "9" * 40, "-1", "1.5"])
def test_a_version_that_is_none(cast: Cast, sign_in: SignIn, made: TemplateVersion, pk: str) -> None:
    assert sign_in(cast.marketer).post(_path(cast), _filled(made, version=pk)).status_code == 422


def test_locked_settings_win_over_what_is_posted(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    TemplateVersion.objects.update(locked=["steps", "count"])
    assert sign_in(cast.marketer).post(_path(cast), _filled(made, steps="20", count="5")).status_code == 302
    batch = RenderBatch.objects.get()
    assert (batch.steps, batch.count) == (4, 1)


def test_settings_that_are_not_locked_are_suggestions(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    assert sign_in(cast.marketer).post(_path(cast), _filled(made, steps="5")).status_code == 302
    assert RenderBatch.objects.get().steps == 5


def test_choosing_a_template_queues_nothing_and_brings_its_fields(
    cast: Cast, sign_in: SignIn, made: TemplateVersion,
) -> None:
    response = sign_in(cast.marketer, HX_Request="true").post(
        _path(cast), composer(version=made.pk, choose="1", prompt_en="mine"))
    body = response.content.decode()
    assert response.status_code == 200 and not RenderBatch.objects.exists()
    assert 'name="v-product-zh"' in body and 'value="红玫瑰"' in body and 'id="steps"' in body and 'value="4"' in body


def test_own_words_again_keep_what_the_template_made(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    body = sign_in(cast.marketer).post(
        _path(cast), composer(version="", choose="1", prompt_en="a peony on pink")).content.decode()
    assert "a peony on pink" in body and "v-product-zh" not in body


def test_a_product_is_one_of_the_teams(cast: Cast, sign_in: SignIn) -> None:
    Product.objects.create(team=cast.team, sku="T-1", name_zh="冬茶", name_en="winter tea")
    Product.objects.create(team=cast.other_team, sku="T-2", name_zh="别人", name_en="theirs")
    made = version(template(cast.team, cast.marketer), text_zh="{what}", text_en="{what}",
                   variables=[{"name": "what", "kind": "product"}])
    client = sign_in(cast.marketer)
    assert client.post(_path(cast), composer(version=made.pk, **{"v-what-zh": "T-2"})).status_code == 422
    assert client.post(_path(cast), composer(version=made.pk, **{"v-what-zh": "T-1"})).status_code == 302
    batch = RenderBatch.objects.get()
    assert (batch.prompt_zh, batch.prompt_en) == ("冬茶", "winter tea")


def test_a_picture_variable_needs_a_start_picture(cast: Cast, sign_in: SignIn) -> None:
    made = version(template(cast.team, cast.marketer), text_zh="花", text_en="flower",
                   variables=[{"name": "photo", "kind": "picture"}])
    response = sign_in(cast.marketer).post(_path(cast), composer(version=made.pk))
    assert response.status_code == 422 and not RenderBatch.objects.exists()


def test_the_preview_tells_prompts_and_faults(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    found = sign_in(cast.marketer).post(_path(cast, "filled"), _filled(made, **{"v-tone-zh": ""})).json()
    assert found["prompt_en"] == "a peony on a {tone} background  3"
    assert list(found["errors"]) == ["tone"]
    assert sign_in(cast.marketer).post(_path(cast, "filled"), {}).json()["prompt_en"] is None


def test_a_draft_comes_back_and_goes_when_it_is_rendered(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    client = sign_in(cast.marketer)
    kept = client.post(_path(cast, "draft"), _filled(made, steps="7", formats=["taobao-main"], seed="9"))
    assert kept.json()["said"].startswith("Draft saved at ")
    body = client.get(_path(cast, "studio")).content.decode()
    assert 'value="peony"' in body and 'value="7"' in body and "Draft saved at" in body
    assert 'id="draft" hidden' in sign_in(cast.reviewer).get(_path(cast, "studio")).content.decode()
    assert client.post(_path(cast), _filled(made)).status_code == 302
    assert not Draft.objects.exists()


def test_a_draft_is_discarded(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.marketer)
    client.post(_path(cast, "draft"), {"prompt_en": "half a thought"})
    assert b"half a thought" in client.get(_path(cast, "studio")).content
    assert client.post(_path(cast, "draft"), {"discard": "1"}).status_code == 302
    assert b"half a thought" not in client.get(_path(cast, "studio")).content


@pytest.mark.parametrize("fields", [
    {"prompt_en": "a\0b"}, {"prompt_en": "\ud800"}, {"v-\0": "x"}, {"strange": "x"}, {"formats": ["nope", "custom"]},
    {"version": "nope"}, {"source": "nope", "task": "nope"}, {"count": "many", "steps": "-", "seed": "x"},
    {"lora": ["nope"], "lora_weight_nope": "x"}, {},
])
def test_a_strange_draft_breaks_nothing(cast: Cast, sign_in: SignIn, fields: dict[str, Any]) -> None:
    client = sign_in(cast.marketer)
    data = {name: value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
            for name, value in fields.items()}
    assert client.post(_path(cast, "draft"), data).status_code in (200, 400)
    assert client.get(_path(cast, "studio")).status_code == 200
    assert all("strange" not in draft.fields for draft in Draft.objects.all())


def test_a_draft_that_is_too_long_is_refused(cast: Cast, sign_in: SignIn) -> None:
    response = sign_in(cast.marketer).post(_path(cast, "draft"), {"negative": "x" * (drafts.MAX_CHARS + 1)})
    assert response.status_code == 422 and "too long" in response.json()["said"]


def test_earlier_prompts_each_once_ones_own_first(cast: Cast, sign_in: SignIn) -> None:
    for number in range(2):
        BatchFactory.create(campaign=cast.campaign, requested_by=cast.marketer, prompt=f"mine {number}",
                            prompt_en=f"mine {number}", steps=3)
    for _ in range(2):
        BatchFactory.create(campaign=cast.campaign, requested_by=cast.reviewer, prompt="theirs", prompt_en="theirs")
    client = sign_in(cast.marketer)
    body = client.get(_path(cast, "prompts")).content.decode()
    assert body.count(">theirs<") == 1
    assert body.index("mine 1") < body.index("mine 0") < body.index("theirs")
    reused = client.get(f"{_path(cast, 'studio')}?batch=1").content.decode()
    assert "mine 0" in reused and 'value="3"' in reused


@pytest.mark.parametrize("query", ["batch=x", "batch=99999", "batch=" + "9" * 30, "template=x", "template=", "start=x"])
def test_addresses_that_fill_nothing(cast: Cast, sign_in: SignIn, query: str) -> None:
    assert sign_in(cast.marketer).get(f"{_path(cast, 'studio')}?{query}").status_code == 200


def test_a_link_opens_the_composer_with_a_template(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    body = sign_in(cast.marketer).get(f"{_path(cast, 'studio')}?template={made.pk}").content.decode()
    assert 'name="v-tone-zh"' in body


def test_an_idea_fits_a_template_or_is_written_out(cast: Cast, sign_in: SignIn, made: TemplateVersion) -> None:
    client = sign_in(cast.marketer)
    body = client.post(_path(cast), composer(expand="1", idea="blue peony")).content.decode()
    assert 'name="v-product-zh"' in body and "a peony on a blue background" in body
    body = client.post(_path(cast), composer(expand="1", idea="teapot")).content.decode()
    assert "teapot" in body and "v-product-zh" not in body
    assert b"in a few words" in client.post(_path(cast), composer(expand="1", idea=" ")).content
    assert not RenderBatch.objects.exists()


@pytest.mark.parametrize(("text", "seed", "count"), [
    ("100-103", 100, 4), ("100 – 103", 100, 4), ("7-7", 7, 1), ("5", 5, 2)])
def test_a_range_of_seeds_sets_the_count(cast: Cast, sign_in: SignIn, text: str, seed: int, count: int) -> None:
    assert sign_in(cast.marketer).post(_path(cast), composer(seed=text, count=2)).status_code == 302
    batch = RenderBatch.objects.get()
    assert (batch.seed, batch.count) == (seed, count)
    assert list(batch.jobs.order_by("position").values_list("seed", flat=True)) == list(range(seed, seed + count))


@pytest.mark.parametrize(("text", "said"), [
    ("9-1", "lower to the higher"), ("1-9", "Ask for 1 to"), ("1-", "a range such as"), ("1-2-3", "a range such as")])
def test_a_wrong_range_of_seeds(cast: Cast, sign_in: SignIn, text: str, said: str) -> None:
    response = sign_in(cast.marketer).post(_path(cast), composer(seed=text, count=2))
    assert response.status_code == 422 and said in response.content.decode()
