"""The models page."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from studio.domain.errors import ModelUnusable
from studio.domain.roles import Role
from studio.models import Membership, ModelEntry, QualityReport, Worker
from studio.services import models
from studio.web import model
from tests.conftest import Cast, SignIn
from tests.factories import model_entry, worker

PAGE = "/admin-panel/models/"


@pytest.fixture(autouse=True)
def _forget() -> None:
    model.forget()


def shown(client: Any, **data: str) -> str:
    response = client.get(PAGE, data)
    assert response.status_code == 200
    return str(response.content.decode())


def test_an_empty_registry_says_how_to_add_a_model(cast: Cast, sign_in: SignIn) -> None:
    text = shown(sign_in(cast.superuser))
    assert "No models in the registry" in text and "manage.py model fetch" in text


def test_the_page_shows_what_there_is(cast: Cast, sign_in: SignIn) -> None:
    entry = model_entry(name="turbo", active=True, precision="bf16")
    model_entry(name="neon", kind="lora", family="", layout="files", paths={"file": "/x"}, details={"rank": 16})
    worker("gpu-0", model_sha256=entry.sha256)
    Worker.objects.filter(name="gpu-0").update(model_sha256=entry.sha256)
    made = {"entry": entry, "precision": "fp8", "checksum": entry.sha256, "psnr": 34.52, "ssim": 0.971}
    QualityReport.objects.create(**made, passed=False, sheet_key="reports/x.png")
    text = shown(sign_in(cast.superuser))
    for word in ("turbo", "neon", "19.1", entry.sha256, entry.sha256[:12], "gpu-0", "34.5 dB", "0.971",
                 "Failed", "bf16"):
        assert word in text
    assert '<option value="fp8" disabled>' in text and reverse("model-sheet", args=[entry.reports.get().pk]) in text
    QualityReport.objects.create(**made, passed=True)
    assert '<option value="fp8">' in shown(sign_in(cast.superuser))


def test_a_problem_is_told_in_the_readers_language(cast: Cast, sign_in: SignIn) -> None:
    entry = model_entry(name="turbo")
    models.failed(models.Chosen(entry.pk), ModelUnusable(
        "%(path)s lacks the tensor %(name)s.", hint="Copy the file again from where the model came from.",
        path="/m/<b>.safetensors", name="x"))
    client = sign_in(cast.superuser)
    assert "/m/&lt;b&gt;.safetensors lacks the tensor x." in shown(client)
    client.post("/me/language/", {"language": "zh-hans"})
    text = shown(client)
    assert "缺少张量" in text and "请从模型来源重新复制此文件" in text and "已损坏" in text


def test_an_admin_of_one_team_of_two_only_looks(cast: Cast, sign_in: SignIn) -> None:
    model_entry(name="turbo")
    text = shown(sign_in(cast.person("admin")))
    assert "only an admin of every team" in text and reverse("activate-model", args=["turbo"]) not in text
    Membership.objects.create(team=cast.other_team, user=cast.admin, role=Role.ADMIN)
    assert reverse("activate-model", args=["turbo"]) in shown(sign_in(cast.person("admin")))


def test_the_composer_names_the_sizes_a_model_was_trained_for(cast: Cast, sign_in: SignIn) -> None:
    page, client = reverse("studio", kwargs={"slug": cast.campaign.slug}), sign_in(cast.marketer)
    model_entry(name="any", active=True)
    assert "Renders at" not in client.get(page).content.decode()
    ModelEntry.objects.update(card={"name": "Trained", "sizes": [[512, 512], [448, 576]]})
    model.forget()
    assert "512&nbsp;×&nbsp;512, 448&nbsp;×&nbsp;576</dd>" in client.get(page).content.decode()


@pytest.mark.django_db(transaction=True)
def test_activation_is_seen_at_once(cast: Cast, sign_in: SignIn, wakes: list[int]) -> None:
    model_entry(name="turbo")
    client = sign_in(cast.superuser)
    assert model.required_card().demo
    response = client.post(reverse("activate-model", args=["turbo"]), {"precision": "bf16"}, follow=True)
    assert "Workers take it up" in response.content.decode() and wakes == [1]
    assert model.required_card().name == "Registered"
    client.post(reverse("check-model", args=["turbo"]))
    assert "waits for a worker" in shown(client) and wakes == [1, 1]
    assert "the model that all teams render with" in client.get("/admin-panel/audit/").content.decode()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("precision", "message"), [
    ("int8", "needs a passed quality report"), ("fp4\x00", "is not a precision"), ("<script>", "&lt;script&gt;")])
def test_a_refusal_stands_on_the_page(cast: Cast, sign_in: SignIn, precision: str, message: str) -> None:
    model_entry(name="turbo")
    response = sign_in(cast.superuser).post(reverse("activate-model", args=["turbo"]), {"precision": precision})
    assert response.status_code == 422 and message in response.content.decode()
    assert not ModelEntry.objects.filter(active=True).exists()


def test_a_model_or_sheet_that_is_not_there(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.superuser)
    for verb in ("activate-model", "check-model"):
        assert client.post(reverse(verb, args=["none"])).status_code == 404
    assert client.get(reverse("model-sheet", args=[7])).status_code == 404


def test_a_card_is_not_read_for_every_page(db: None, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        model.card()
        model.card()


def test_model_dir_is_pointed_out(cast: Cast, sign_in: SignIn, settings: Any) -> None:
    settings.MODEL_DIR_IS_SET = True
    assert "MODEL_DIR is set" in shown(sign_in(cast.superuser))
