"""The registry: what may be added, activated, removed, and which model the studio renders with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from studio import checkpoint, storage
from studio.domain.errors import Conflict, Forbidden, Invalid, ModelUnusable
from studio.domain.roles import Role
from studio.models import Activity, Membership, ModelEntry, ModelKind, QualityReport
from studio.services import models
from tests.checkpoint.files import controlnet, lora, save
from tests.conftest import Cast
from tests.factories import PNG, model_entry

DEMO = Path(__file__).parents[2] / "models" / "z-image-demo"
VAE = "vae/diffusion_pytorch_model.safetensors"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model that a test may damage."""
    return Path(shutil.copytree(DEMO, tmp_path / "model"))


def damage(folder: Path) -> None:
    (folder / VAE).write_bytes((folder / VAE).read_bytes()[:-9])


def report(entry: ModelEntry, *, passed: bool = True, **fields: Any) -> QualityReport:
    return models.record_report(**{  # type: ignore[arg-type]  # a mixture
        "name": entry.name, "precision": "fp8", "checksum": entry.sha256, "psnr": 34.5, "ssim": 0.97,
        "passed": passed} | fields)


def test_a_folder_is_added_with_what_was_found_in_it(folder: Path, cast: Cast) -> None:
    entry = models.add(name="demo", paths={"folder": folder})
    assert (entry.kind, entry.layout, entry.family, entry.state) == ("checkpoint", "folder", "turbo", "ok")
    assert len(entry.sha256) == 64 and entry.size_bytes > 10_000_000
    for row in (entry, models.find("demo")):  # as it was made, and as the database gives it
        files = models.files_of(row)
        assert files.folder == folder and files.checksum == entry.sha256
        assert files.card == checkpoint.read_card(folder) and hash(files.card) and files.card.sizes
    lines = Activity.objects.filter(verb="model.added", actor=None)
    assert {line.team_id for line in lines} == {cast.team.pk, cast.other_team.pk}  # all of them share it


def test_a_base_model_is_named_when_it_is_added(folder: Path) -> None:
    entry = models.add(name="base", paths={"folder": folder}, family="base")
    assert entry.family == "base" and models.files_of(entry).card.guides


def test_what_adds_to_a_model_is_added(tmp_path: Path) -> None:
    file = save(tmp_path / "l.safetensors", lora({"transformer.layers.0.attention.to_q": (8, 8)}, "lora_A", "lora_B"))
    net = save(tmp_path / "c.safetensors", controlnet("2.1"))
    first = models.add(name="neon", paths={"file": file}, kind=ModelKind.LORA)
    second = models.add(name="union", paths={"file": net}, kind=ModelKind.CONTROLNET)
    assert first.details == {"style": "diffusers", "rank": 4, "targets": 1} and second.details["version"] == "2.1"
    assert models.weights_of(first).path == file and models.weights_of(first).sha256 == first.sha256
    assert list(models.usable_loras()) == [first] and list(models.usable_controlnets()) == [second]
    with pytest.raises(Invalid, match="only a checkpoint"):
        models.activate(name="neon")


def test_a_file_that_is_not_right_is_not_added(folder: Path) -> None:
    tensors = load_file(folder / VAE)
    tensors["decoder.conv_out.bias"][0] = torch.nan
    save_file(tensors, folder / VAE)
    with pytest.raises(ModelUnusable, match=r"decoder\.conv_out\.bias holds a value"):
        models.add(name="demo", paths={"folder": folder})
    assert not ModelEntry.objects.exists()


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "-a", "a" * 61, "a.b", "模型"])
def test_a_name_that_cannot_be_used_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="A model's name"):
        models.add(name=name, paths={"folder": DEMO})


def test_a_name_is_taken_once() -> None:
    model_entry(name="demo")
    with pytest.raises(Invalid, match="already"):
        models.add(name="demo", paths={"folder": DEMO})


def test_verify_writes_down_what_it_finds(folder: Path) -> None:
    models.add(name="demo", paths={"folder": folder})
    whole = (folder / VAE).read_bytes()
    damage(folder)
    with pytest.raises(ModelUnusable, match="is incomplete"):
        models.verify(name="demo")
    entry = ModelEntry.objects.get()
    assert entry.state == "broken" and str(entry.problem).count(VAE) == 1
    with pytest.raises(Invalid, match="can't be used as it is"):
        models.activate(name="demo")
    (folder / VAE).write_bytes(whole)
    assert models.verify(name="demo", deep=True).state == "ok" and ModelEntry.objects.get().problem is None


def test_files_that_have_changed_are_not_the_models_any_more(folder: Path) -> None:
    models.add(name="demo", paths={"folder": folder})
    save_file({name: t + 1 for name, t in load_file(folder / VAE).items()}, folder / VAE)
    with pytest.raises(ModelUnusable, match="have changed since"):
        models.verify(name="demo")


def test_one_checkpoint_is_active(wakes: list[int]) -> None:
    for name in ("one", "two"):
        model_entry(name=name)
        models.activate(name=name)
    assert list(ModelEntry.objects.filter(active=True).values_list("name", flat=True)) == ["two"]
    assert wakes == [1, 1]
    with pytest.raises(Invalid, match="no model"):
        models.activate(name="three")


def test_a_gated_precision_needs_a_passed_report_on_these_files() -> None:
    entry = model_entry(name="one")
    with pytest.raises(Invalid, match="needs a passed quality report"):
        models.activate(name="one", precision="fp8")
    report(entry, precision="int8")
    report(entry, passed=False)
    with pytest.raises(Invalid, match="needs a passed quality report"):
        models.activate(name="one", precision="fp8")
    made = report(entry, sheet=PNG, psnr=float("inf"))
    with storage.open_file(made.sheet_key) as file:
        assert file.read() == PNG and made.psnr == 100
    assert models.activate(name="one", precision="fp8").precision == "fp8"
    report(entry, passed=False)  # the newest counts
    with pytest.raises(Invalid, match="needs a passed quality report"):
        models.activate(name="one", precision="fp8")
    ModelEntry.objects.update(sha256="cd" * 32)
    with pytest.raises(Invalid, match="have changed"):
        report(entry)
    for precision in ("bf16", "fp32", ""):
        assert models.activate(name="one", precision=precision).precision == precision
    with pytest.raises(Invalid, match="is not a precision"):
        models.activate(name="one", precision="fp4")


def test_only_who_administers_every_team_changes_the_model(cast: Cast) -> None:
    model_entry(name="one")
    with pytest.raises(Forbidden, match="every team"):
        models.activate(name="one", user=cast.person("admin"))
    with pytest.raises(Forbidden):
        models.request_check(name="one", user=cast.person("stranger"))
    Membership.objects.create(team=cast.other_team, user=cast.admin, role=Role.ADMIN)
    models.activate(name="one", user=cast.person("admin"))
    models.request_check(name="one", user=cast.superuser)
    assert Activity.objects.filter(verb="model.activated", actor=cast.admin, data={"model": "one"}).count() == 2


def test_a_check_that_was_asked_for_is_made_once(folder: Path, cast: Cast, wakes: list[int]) -> None:
    models.add(name="demo", paths={"folder": folder})
    models.request_check(name="demo", user=cast.superuser)
    damage(folder)
    assert wakes == [1] and models.run_checks() == 1 and models.run_checks() == 0
    assert ModelEntry.objects.get().state == "broken"


def test_the_active_model_is_not_removed(tmp_path: Path, settings: Any) -> None:
    settings.MODELS_DIR = tmp_path
    folder = tmp_path / "here"
    folder.mkdir()
    model_entry(name="one", paths={"folder": str(folder)}, active=True)
    with pytest.raises(Conflict, match="is active"):
        models.remove(name="one", files=True)
    assert folder.exists()
    model_entry(name="two", paths={"folder": str(tmp_path / "gone")})
    models.activate(name="two")
    assert models.remove(name="one", files=True) == [folder] and not folder.exists()


@pytest.mark.parametrize("where", ["elsewhere", "models", "models/../elsewhere", "models/link"])
def test_files_elsewhere_stay(tmp_path: Path, settings: Any, where: str) -> None:
    settings.MODELS_DIR = tmp_path / "models"
    for name in ("models", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "models" / "link").symlink_to(tmp_path / "elsewhere")
    model_entry(name="one", paths={"folder": str(tmp_path / where)})
    with pytest.raises(Invalid, match="not in MODELS_DIR"):
        models.remove(name="one", files=True)
    assert models.remove(name="one") == [] and (tmp_path / "elsewhere").exists()


def test_shared_files_stay(tmp_path: Path, settings: Any) -> None:
    settings.MODELS_DIR = tmp_path
    shared = {"folder": str(tmp_path / "shared")}
    for name in ("one", "two"):
        model_entry(name=name, paths=shared)
    with pytest.raises(Invalid, match="belongs to another model"):
        models.remove(name="one", files=True)


def test_the_choice_is_model_dir_then_the_active_one_then_the_demo(settings: Any) -> None:
    assert models.current().folder == settings.MODEL_DIR and models.current().card.demo
    assert models.chosen() == models.Chosen()
    entry = model_entry(name="one")
    models.activate(name="one", precision="fp32")
    assert models.current().card.name == "Registered"
    assert models.chosen() == models.Chosen(entry.pk, entry.sha256, "fp32")
    models.failed(models.chosen(), ModelUnusable("%(path)s is broken.", path=Path("x")))
    with pytest.raises(ModelUnusable, match="x is broken"):
        models.current()
    models.loaded(models.chosen())
    assert models.current().card.name == "Registered"
    settings.MODEL_DIR_IS_SET = True
    assert models.chosen() == models.Chosen() and models.current().card.demo


def test_a_worker_loads_only_what_was_added(folder: Path) -> None:
    models.add(name="demo", paths={"folder": folder})
    models.activate(name="demo")
    assert models.checked(models.chosen()).folder == folder
    save_file({name: t + 1 for name, t in load_file(folder / VAE).items()}, folder / VAE)
    with pytest.raises(ModelUnusable, match="have changed"):
        models.checked(models.chosen())
