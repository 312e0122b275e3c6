"""`manage.py model`: add, list, verify, activate, remove; and fetch, from a hub on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
import torch
from django.core.management import CommandError, call_command
from django.db import connection

from studio.checkpoint import CONFIGS
from studio.models import ModelEntry
from tests import hub_server, tiny
from tests.checkpoint.files import Files, lora, save, single_files
from tests.factories import model_entry

ROOT = Path(__file__).resolve().parents[2]
REPO = "Tongyi-MAI/Z-Image-Turbo"
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def files(folder: Path, tmp_path: Path) -> Files:
    return single_files(folder, tmp_path)


def run(*arguments: object) -> str:
    out = StringIO()
    call_command("model", *[str(argument) for argument in arguments], stdout=out)
    return out.getvalue()


def test_a_folder_from_adding_to_removing(folder: Path, tmp_path: Path) -> None:
    assert "No models yet" in run("list")
    assert "tiny is in the registry: checkpoint" in run("add", "tiny", folder)
    assert "tiny: whole." in run("verify", "tiny", "--deep")
    assert "tiny is active" in run("activate", "tiny", "--precision", "bf16")
    listed = run("list")
    assert [line.split()[:2] for line in listed.splitlines()] == [["NAME", "KIND"], ["*", "tiny"]]
    (found,) = json.loads(run("list", "--json"))
    assert found["paths"] == {"folder": str(folder)} and found["active"] and found["precision"] == "bf16"
    with pytest.raises(CommandError, match=r"is active\. Activate another one first"):
        run("remove", "tiny")
    with pytest.raises(CommandError, match="needs a passed quality report"):
        run("activate", "tiny", "--precision", "int8")
    ModelEntry.objects.update(active=False)
    assert "off the registry" in run("remove", "tiny") and folder.exists()


def test_single_files_are_added(files: Files) -> None:
    parts = {f"--{name.replace('_', '-')}": path for name, path in files.paths().items()}
    run("add", "tiny", *[word for pair in parts.items() for word in pair])
    entry = ModelEntry.objects.get()
    assert entry.layout == "files" and entry.paths["vae"] == str(files.vae)
    assert "tiny: whole." in run("verify", "--all")
    with pytest.raises(CommandError, match=r"transformer\.safetensors lacks the tensor|has the shape"):
        # Without --config they are taken for the real model's, which is larger.
        run("add", "real", *[w for pair in parts.items() if pair[0] != "--config" for w in pair])
    with pytest.raises(CommandError, match="fetch --only tokenizer"):
        run("add", "real", "--transformer", files.transformer, "--vae", files.vae, "--text-encoder", files.vae)
    assert all((CONFIGS[family] / "scheduler" / "scheduler_config.json").exists() for family in ("turbo", "base"))


def test_a_lora_is_added(tmp_path: Path) -> None:
    file = save(tmp_path / "l.safetensors", lora({"transformer.layers.0.attention.to_q": (8, 8)}, "lora_A", "lora_B"))
    assert "lora (style diffusers, rank 4, targets 1)" in run("add", "neon", file, "--kind", "lora")
    with pytest.raises(CommandError, match="only a checkpoint"):
        run("activate", "neon")


@pytest.mark.parametrize(("arguments", "message"), [
    (["add", "x"], "Give a folder"), (["add", "x", "/nowhere"], "no model folder at /nowhere"),
    (["add", "x", "/nowhere.ckpt", "--kind", "lora"], "is a pickle"),
    (["add", "x", "/nowhere.safetensors", "--kind", "controlnet"], "is missing"),
    (["add", "x", "--kind", "lora"], "Give the file"), (["add", "Not Plain", "/tmp"], "A model's name"),
    (["verify"], "Name a model"), (["verify", "x"], "no model “x”"), (["verify", "--all"], "no model folder"),
    (["activate", "x"], "no model “x”"), (["remove", "x"], "no model “x”"),
])
def test_what_is_refused_is_one_line(arguments: list[str], message: str) -> None:
    model_entry(name="lost")
    with pytest.raises(CommandError, match=message) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)


#: The command line on the test's database instead of the one in the settings.
_MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "zimage_web.settings"
from django.conf import settings
settings.DATABASES["default"]["NAME"] = os.environ["STUDIO_TEST_DATABASE"]
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "model", "fetch", *sys.argv[1:]])
"""


def fetch(endpoint: str, models: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own: the client library reads its environment when it is imported."""
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"} | {
        "HF_ENDPOINT": endpoint, "MODELSCOPE_DOMAIN": endpoint.partition("//")[2], "MODELS_DIR": str(models),
        "HF_HOME": str(models.parent / "hf"), "STUDIO_TEST_DATABASE": str(connection.settings_dict["NAME"])}
    return subprocess.run([sys.executable, "-c", _MANAGE, *arguments], cwd=ROOT, env=environment, capture_output=True,
                          text=True, timeout=120, check=False)


def test_fetch_downloads_checks_and_adds(folder: Path, tmp_path: Path) -> None:
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / "teaser.png").write_bytes(b"not wanted")
    with hub_server.running(REPO, folder) as hub:
        done = fetch(hub.url, tmp_path / "models")
    assert done.returncode == 0, done.stderr
    assert "z-image-turbo is in the registry" in done.stdout
    entry = ModelEntry.objects.get()
    assert entry.paths == {"folder": str(tmp_path / "models" / "z-image-turbo")} and entry.state == "ok"
    assert not (tmp_path / "models" / "z-image-turbo" / "assets").exists()
    with hub_server.running(REPO, folder) as hub:  # what is there is not downloaded again
        again = fetch(hub.url, tmp_path / "models")
        assert "is whole" in again.stdout, again.stderr
        assert not [path for method, path, _range in hub.requests if method == "GET" and WEIGHTS in path]


def test_fetch_goes_on_where_it_was_interrupted(folder: Path, tmp_path: Path) -> None:
    source, large = Path(shutil.copytree(folder, tmp_path / "source")), "transformer/spare.safetensors"
    # The client library writes in pieces of 10 MB.
    save(source / large, {"spare": torch.zeros(24 * 2**20, dtype=torch.uint8)})
    with hub_server.running(REPO, source) as hub:
        hub.breaks = large
        done = fetch(hub.url, tmp_path / "models")
        last = done.stderr.strip().splitlines()[-1]
        assert done.returncode == 1 and "could not be downloaded from Hugging Face" in last, done.stderr
        assert "Traceback" not in done.stderr and not ModelEntry.objects.exists()
        hub.breaks, hub.requests[:] = "", []
        done = fetch(hub.url, tmp_path / "models")
        assert done.returncode == 0, done.stderr
        ranges = [found for method, path, found in hub.requests if method == "GET" and path.endswith(large)]
    # One request, for the rest alone; what was at hand was at least one piece.
    assert len(ranges) == 1 and int(ranges[0].removeprefix("bytes=").removesuffix("-")) >= 10 * 10**6
    assert (tmp_path / "models" / "z-image-turbo" / large).read_bytes() == (source / large).read_bytes()
    assert ModelEntry.objects.get().state == "ok"


def test_what_arrives_damaged_is_not_kept(folder: Path, tmp_path: Path) -> None:
    with hub_server.running(REPO, folder) as hub:
        hub.lies = True
        done = fetch(hub.url, tmp_path / "models")
    assert done.returncode == 1 and "arrived damaged" in done.stderr.strip().splitlines()[-1], done.stderr
    assert not [path for path in (tmp_path / "models").rglob("*") if path.is_file()]


def test_fetch_of_the_tokenizer_alone(folder: Path, tmp_path: Path) -> None:
    with hub_server.running(REPO, folder) as hub:
        done = fetch(hub.url, tmp_path / "models", "--only", "tokenizer")
    assert done.returncode == 0, done.stderr
    target = tmp_path / "models" / "z-image-turbo"
    assert (target / "tokenizer" / "tokenizer.json").exists() and not (target / "transformer").exists()
    assert f"The tokenizer is in {target / 'tokenizer'}" in done.stdout and not ModelEntry.objects.exists()


@pytest.mark.parametrize("hub", ["huggingface", "modelscope"])
def test_without_a_network_there_is_one_clear_line(tmp_path: Path, hub: str) -> None:
    done = fetch("http://127.0.0.1:9", tmp_path / "models", "--hub", hub)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "could not be downloaded from" in done.stderr.strip().splitlines()[-1]
