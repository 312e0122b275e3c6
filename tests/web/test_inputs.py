"""The composer's pictures, guides and LoRAs, as forms with and without scripts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext

from studio import storage
from studio.domain.engine import ModelFiles
from studio.domain.guides import Weights
from studio.domain.modelcard import ModelCard
from studio.models import RenderBatch, RenderInput
from studio.services import guides
from studio.web import model
from tests.conftest import Cast, SignIn
from tests.factories import BatchFactory, asset, mask, picture, render_input
from tests.web.test_bad_input import LANGUAGES, nothing_queued, text_of
from tests.web.world import World, bring, composer, upload

UNION = Weights("Union", Path("/models/union.safetensors"), "22" * 32)
TEA = Weights("tea", Path("/models/tea.safetensors"), "11" * 32)


@pytest.fixture
def url(cast: Cast) -> str:
    return reverse("create-render", kwargs={"slug": cast.campaign.slug})


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guides, "installed_control", lambda: UNION)
    monkeypatch.setattr(guides, "installed_loras", lambda: {"tea": TEA, "ink": TEA})


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that works with guidance."""
    card = ModelCard("Base", family="base", guidance=4.0, steps=28)
    monkeypatch.setattr(model, "_read", lambda: ModelFiles(card))


def test_files_can_go_with_the_form(cast: Cast, sign_in: SignIn, url: str, installed: None) -> None:
    data = composer(
        task="inpaint", source_file=upload(), mask_file=upload(mask()), strength="0.7", control_kind="canny",
        control_file=upload(picture(size=(50, 50))), control_scale="0.5", lora=["tea"], lora_weight_tea="-0.25")
    assert sign_in(cast.marketer).post(url, data).status_code == 302
    batch = RenderBatch.objects.get()
    assert batch.source and batch.mask and batch.control_input
    assert [row.role for row in (batch.source, batch.mask, batch.control_input)] == ["image", "mask", "control"]
    assert (batch.strength, batch.control_kind, batch.control_scale) == (0.7, "canny", 0.5)
    assert batch.loras == [{"name": "tea", "weight": -0.25}]


def test_the_form_is_filled_again_after_a_render(cast: Cast, sign_in: SignIn, url: str, installed: None) -> None:
    rows = {"source": bring(cast), "mask": bring(cast, "mask"), "control": bring(cast, "control")}
    data = composer(task="inpaint", strength="0.35", control_kind="depth", control_scale="1.5", lora=["ink"],
                    lora_weight_ink="0.5", **{name: str(row.pk) for name, row in rows.items()})
    client = sign_in(cast.marketer, HX_Request="true")
    response = client.post(url, data)
    assert response.status_code == 202
    page = client.get(reverse("studio", kwargs={"slug": cast.campaign.slug}))
    for body in (response.content.decode(), page.content.decode()):
        for name, row in rows.items():
            assert f'name="{name}" value="{row.pk}"' in body
        assert re.search(r'value="inpaint" checked', body) and 'value="0.35"' in body and 'value="1.5"' in body
        assert re.search(r'value="depth" selected', body)
        assert re.search(r'value="ink" checked.*?name="lora_weight_ink"[^>]*value="0.5"', body, re.DOTALL)


def test_without_a_picture_task_nothing_of_it_is_used(cast: Cast, sign_in: SignIn, url: str) -> None:
    data = composer(task="text", source=str(bring(cast).pk), strength="0.3")
    assert sign_in(cast.marketer).post(url, data).status_code == 302
    batch = RenderBatch.objects.get()
    assert (batch.source, batch.strength, batch.task) == (None, 1.0, "text")


def test_a_refused_form_keeps_what_was_uploaded(cast: Cast, sign_in: SignIn, url: str) -> None:
    response = sign_in(cast.marketer).post(url, composer(task="image", source_file=upload(), count="0"))
    row = RenderInput.objects.get()
    assert response.status_code == 422 and f'name="source" value="{row.pk}"' in response.content.decode()


def test_a_new_picture_forgets_the_mask_of_the_old_one(cast: Cast, sign_in: SignIn, url: str) -> None:
    old, drawn = bring(cast), bring(cast, "mask")
    response = sign_in(cast.marketer, Accept_Language="en").post(url, composer(
        task="inpaint", source=str(old.pk), mask=str(drawn.pk), source_file=upload(picture(size=(80, 80)))))
    assert response.status_code == 422 and "Paint over the part" in text_of(response) and nothing_queued()


def test_without_scripts_a_picture_is_removed_with_the_form(cast: Cast, sign_in: SignIn, url: str) -> None:
    row = bring(cast)
    response = sign_in(cast.marketer).post(url, composer(task="image", source=str(row.pk), remove="source"))
    assert response.status_code == 422 and 'name="source" value=""' in response.content.decode() and nothing_queued()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no picture": ({"task": "image"}, "Choose the picture to start from."),
    "an unknown task": ({"task": "video"}, "Choose what to start from."),
    "an id that is none": ({"task": "image", "source": "1; DROP"}, "This picture is no longer here. Upload it again."),
    "an id of nothing": ({"task": "image", "source": str(uuid4())}, "This picture is no longer here. Upload it again."),
    "a bad file": ({"task": "image", "source_file": b"x"}, "This is not a PNG, JPEG or WebP picture."),
    "a picture of nobody": ({"task": "image", "source_asset": "9" * 30},
                            "This picture is no longer here. Upload it again."),
    "strength NaN": ({"task": "image", "strength": "nan"}, "Write the strength as a number from 0.01 to 1."),
    "strength in words": ({"task": "image", "strength": "much"}, "Write the strength as a number from 0.01 to 1."),
    "a guide without its net": (
        {"control_kind": "canny"},
        "No ControlNet is installed. An admin adds one with manage.py model add --kind controlnet."),
    "an unknown guide": ({"control_kind": "magic"}, "There is no guide of the kind “%(value)s”."),
    "an unknown LoRA": ({"lora": ["nothing"]}, "The LoRA %(value)s is no longer installed."),
    "guidance for turbo": ({"guidance": "1"}, "This model renders without guidance. Set guidance to 0."),
    "guidance in words": ({"guidance": "much"}, "Write the guidance as a number."),
    "guidance infinite": ({"guidance": "inf"}, "Write the guidance as a number."),
    "a negative prompt with control characters": (
        {"negative": "a\x07"}, "The prompt contains control characters. Type it again, or paste it as plain text."),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_rendered_is_explained(cast: Cast, sign_in: SignIn, url: str, name: str) -> None:
    change, message = BAD[name]
    for language in LANGUAGES:
        for htmx in ("true", "false"):
            fields = {key: upload(value) if isinstance(value, bytes) else value for key, value in change.items()}
            response = sign_in(cast.marketer, Accept_Language=language, HX_Request=htmx).post(url, composer(**fields))
            value = next(v[0] if isinstance(v, list) else v for v in change.values())
            with translation.override(language):
                wanted = gettext(message.replace("LoRA %(value)s", "LoRA %(name)s")) % {"value": value, "name": value}
            assert response.status_code == 422 and wanted in text_of(response)
    assert nothing_queued()


@pytest.mark.parametrize(("fields", "says"), [
    ({"strength": "0"}, "number from 0.01 to 1"), ({"strength": "1.5"}, "number from 0.01 to 1"),
    ({"strength": "-1e999"}, "as a number"), ({"task": "inpaint"}, "Paint over the part"),
    ({"control_kind": "canny"}, "Choose the picture for the guide"),
    ({"control_kind": "canny", "control": "ROW", "control_scale": "0"}, "above 0"),
    ({"control_kind": "canny", "control": "ROW", "control_scale": "nan"}, "as a number"),
    ({"lora": ["tea"], "lora_weight_tea": "nan"}, "not 0"), ({"lora": ["tea"], "lora_weight_tea": "9" * 400}, "not 0"),
    ({"lora": ["tea"], "lora_weight_tea": "0"}, "not 0"), ({"lora": ["tea"], "lora_weight_tea": "x\x00"}, "not 0"),
    ({"lora": [f"l{n}" for n in range(5)]}, "At most 4"), ({"lora": ["\x00"]}, "no longer installed"),
])
def test_numbers_out_of_range_are_explained(
    cast: Cast, sign_in: SignIn, url: str, installed: None, fields: dict[str, Any], says: str,
) -> None:
    row, control = bring(cast), bring(cast, "control")
    fields = {key: str(control.pk) if value == "ROW" else value for key, value in fields.items()}
    response = sign_in(cast.marketer, Accept_Language="en").post(
        url, composer(**({"task": "image", "source": str(row.pk)} | fields)))
    assert response.status_code == 422 and says in text_of(response) and nothing_queued()


@pytest.mark.parametrize("field", ["source", "mask", "control"])
def test_another_teams_picture_cannot_be_used(
    cast: Cast, sign_in: SignIn, url: str, installed: None, field: str,
) -> None:
    mine = {"source": str(bring(cast).pk), "mask": str(bring(cast, "mask").pk),
            "control": str(bring(cast, "control").pk)}
    role = {"source": "image"}.get(field, field)
    theirs = render_input(cast.other_campaign, role=role)
    response = sign_in(cast.marketer, Accept_Language="en").post(url, composer(
        task="inpaint", control_kind="depth", **(mine | {field: str(theirs.pk)})))
    body = response.content.decode()
    assert response.status_code == 422 and "no longer here" in body and str(theirs.pk) not in body and nothing_queued()


def test_a_finished_picture_is_started_from(world: World, sign_in: SignIn) -> None:
    cast, made = world.cast, asset(world.cast.campaign)
    storage.put(made.file_key, picture(size=(64, 64)), "image/png")
    client, before = sign_in(cast.marketer), RenderInput.objects.count()
    page = client.get(reverse("studio", kwargs={"slug": cast.campaign.slug}) + f"?start={made.pk}")
    assert f'name="source_asset" value="{made.pk}"' in page.content.decode()
    assert RenderInput.objects.count() == before  # looking changes nothing
    path = reverse("create-render", kwargs={"slug": cast.campaign.slug})
    assert client.post(path, composer(task="image", source_asset=str(made.pk))).status_code == 302
    assert RenderBatch.objects.latest("pk").task == "image"
    theirs = asset(cast.other_campaign)
    page = client.get(reverse("studio", kwargs={"slug": cast.campaign.slug}) + f"?start={theirs.pk}")
    assert "source_asset" not in page.content.decode()
    assert client.post(path, composer(task="image", source_asset=str(theirs.pk))).status_code == 422


@pytest.mark.parametrize("start", ["", "x", "-1", "9" * 40, "٣", "\x00"])
def test_a_strange_picture_to_start_from_is_ignored(cast: Cast, sign_in: SignIn, start: str) -> None:
    path = reverse("studio", kwargs={"slug": cast.campaign.slug})
    assert sign_in(cast.marketer).get(path, {"start": start}).status_code == 200


def test_a_model_with_guidance_takes_it_and_a_negative_prompt(
    cast: Cast, sign_in: SignIn, url: str, base: None,
) -> None:
    client = sign_in(cast.marketer, Accept_Language="en")
    page = client.get(reverse("studio", kwargs={"slug": cast.campaign.slug})).content.decode()
    assert 'name="guidance"' in page and 'value="4.0"' in page and "With guidance 0" in page
    assert client.post(url, composer(negative="blur", guidance="")).status_code == 302
    batch = RenderBatch.objects.latest("pk")
    assert (batch.guidance, batch.negative) == (4.0, "blur")
    assert client.post(url, composer(negative="blur", guidance="0")).status_code == 302
    assert RenderBatch.objects.latest("pk").guidance == 0.0
    assert client.post(url, composer(guidance="21")).status_code == 422


def test_a_model_without_guidance_says_so(cast: Cast, sign_in: SignIn) -> None:
    page = text_of(sign_in(cast.marketer, Accept_Language="en").get(
        reverse("studio", kwargs={"slug": cast.campaign.slug})))
    assert "This model renders without guidance: a negative prompt has no effect." in page
    assert 'name="guidance"' not in page and 'name="negative"' not in page
    assert "No ControlNet is installed" in page and "No LoRA is installed" in page


@pytest.mark.parametrize(("guidance", "steps", "shown"), [(0.0, 8, ("4.0", "28")), (6.0, 20, ("6.0", "20"))])
def test_steps_and_guidance_of_the_other_kind_of_model_are_left_behind(
    cast: Cast, sign_in: SignIn, base: None, guidance: float, steps: int, shown: tuple[str, str]
) -> None:
    """A team that changes from Turbo to the base model must not go on rendering with 8 steps and no guidance."""
    BatchFactory.create(campaign=cast.campaign, requested_by=cast.marketer, guidance=guidance, steps=steps)
    page = sign_in(cast.marketer).get(reverse("studio", kwargs={"slug": cast.campaign.slug}))
    form = page.context["form"]
    assert (str(form["guidance"].value()), str(form["steps"].value())) == shown


def test_no_guidance_can_be_chosen_for_several_renders(cast: Cast, sign_in: SignIn, url: str, base: None) -> None:
    response = sign_in(cast.marketer, HX_Request="true").post(url, composer(guidance="0", steps="12"))
    form = response.context["form"]
    assert (float(form["guidance"].value()), form["steps"].value()) == (0.0, 12)
