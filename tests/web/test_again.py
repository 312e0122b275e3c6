from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from studio.models import Asset, RenderBatch
from tests.conftest import Cast, SignIn
from tests.factories import RECIPE, BatchFactory, asset, job, worker
from tests.web.test_bad_input import text_of

ENGINE = {name: RECIPE[name] for name in (
    "model", "checksum", "device", "precision", "torch", "diffusers", "transformers")}


def panel(sign_in: SignIn, cast: Cast, made: Asset) -> str:
    path = reverse("gallery", kwargs={"slug": cast.campaign.slug})
    return text_of(sign_in(cast.marketer, Accept_Language="en").get(f"{path}?frame={made.pk}"))


@pytest.mark.parametrize(("now", "says"), [
    ({}, "No worker has said yet"), (ENGINE, "the same pixels are to be expected"),
    (ENGINE | {"torch": "2.14", "checksum": "cd" * 32}, "torch 2 → 2.14"),
    (ENGINE | {"checksum": "cd" * 32}, "model checksum abababababab → cdcdcdcdcdcd"),
    (ENGINE | {"precision": "fp8"}, "Precision fp32 → fp8"),
    (ENGINE | {"attention": "cudnn"}, "Attention kernel unknown → cudnn"),
])
def test_the_panel_says_what_to_expect(cast: Cast, sign_in: SignIn, now: dict[str, str], says: str) -> None:
    worker(provenance=now)
    assert says in panel(sign_in, cast, asset(cast.campaign))


def repeated(cast: Cast, before: dict[str, Any], after: dict[str, Any]) -> tuple[Asset, Asset]:
    first = asset(cast.campaign, recipe=RECIPE | before)
    again = asset(cast.campaign, recipe=RECIPE | after)
    RenderBatch.objects.filter(pk=again.job.batch_id).update(again_of=first)
    return first, again


@pytest.mark.parametrize(("before", "after", "says"), [
    ({"pixels": "aa"}, {"pixels": "aa", "torch": "9"}, "Same pixels as {frame}"),
    ({"pixels": "aa"}, {"pixels": "bb", "torch": "9"}, "Differs from {frame} torch 2 → 9"),
    ({"pixels": "aa"}, {"pixels": "bb"}, "Differs from {frame}, although nothing"),
    ({}, {"pixels": "bb"}, "Repeat of {frame}, which is too old"),
])
def test_the_panel_of_a_repeat_says_what_came_of_it(
    cast: Cast, sign_in: SignIn, before: dict[str, Any], after: dict[str, Any], says: str,
) -> None:
    first, again = repeated(cast, before, after)
    found = panel(sign_in, cast, again)
    plain = " ".join(found.replace("</a>", "").replace("<br>", " ").replace('<span class="mono xs">', "").split())
    assert says.format(frame=first.job.frame) in plain


def test_the_button_works_without_scripts_and_leads_to_the_studio(cast: Cast, sign_in: SignIn) -> None:
    made = asset(cast.campaign)
    client = sign_in(cast.marketer, Accept_Language="en")
    response = client.post(reverse("again", args=[made.pk]), follow=True)
    assert response.redirect_chain == [(reverse("studio", kwargs={"slug": cast.campaign.slug}), 302)]
    batch = RenderBatch.objects.get(again_of=made)
    assert f"is rendered again, as batch {batch.number}" in text_of(response)
    assert client.post(reverse("again", args=[made.pk])).status_code == 302
    assert RenderBatch.objects.filter(again_of=made).count() == 1


def test_a_strangers_repeat_is_not_found(cast: Cast, sign_in: SignIn) -> None:
    theirs = asset(cast.other_campaign)
    assert sign_in(cast.marketer).post(reverse("again", args=[theirs.pk])).status_code == 404
    assert not RenderBatch.objects.filter(again_of=theirs).exists()


def test_reuse_takes_the_recipe_of_a_repeat(cast: Cast, sign_in: SignIn) -> None:
    made = asset(cast.campaign)
    batch = BatchFactory.create(campaign=cast.campaign, again_of=made)
    job(cast.campaign, batch=batch)
    path = reverse("studio", kwargs={"slug": cast.campaign.slug})
    assert sign_in(cast.marketer).get(f"{path}?reuse={made.pk}").status_code == 200
