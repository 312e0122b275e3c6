"""`manage.py render_once`: one picture without web or queue."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from PIL import Image

from tests import tiny
from tests.factories import picture

ROOT = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.render, pytest.mark.django_db]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("once") / "tiny")


def run(folder: Path, out: Path, *arguments: str) -> dict[str, Any]:
    printed = StringIO()
    call_command(
        "render_once", "--prompt", "一朵红玫瑰 | a red rose", "--model", str(folder), "--out", str(out), "--json",
        "--device", "cpu", "--seed", "7", *arguments, stdout=printed, stderr=StringIO())
    found: dict[str, Any] = json.loads(printed.getvalue())
    return found


def test_it_writes_the_picture_and_prints_its_recipe(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    recipe = run(folder, out, "--width", "90", "--height", "60", "--steps", "2")
    with Image.open(out) as image:
        assert image.size == (90, 60) and image.format == "PNG" and "xmp" in image.info
    assert recipe["prompt"] == "一朵红玫瑰 | a red rose" and recipe["seed"] == 7 and recipe["steps"] == 2
    assert (recipe["render_width"], recipe["render_height"]) == (96, 64)
    assert recipe["model"] == "Tiny" and recipe["torch"] and recipe["precision"] == "fp32"
    assert {"load", "text", "steps", "decode", "render", "encode"} <= recipe["timings"].keys()
    again = run(folder, tmp_path / "y.png", "--width", "90", "--height", "60", "--steps", "2")
    assert again["pixels"] == recipe["pixels"]


def test_it_repaints_a_part_and_keeps_the_rest_exactly(folder: Path, tmp_path: Path) -> None:
    source, drawn = tmp_path / "source.png", tmp_path / "mask.png"
    source.write_bytes(picture(size=(100, 70)))
    mask = Image.new("L", (100, 70))
    mask.paste(255, (30, 20, 60, 50))
    mask.save(drawn)
    out = tmp_path / "x.png"
    recipe = run(folder, out, "--width", "100", "--height", "70", "--image", str(source), "--mask", str(drawn),
                 "--strength", "1.0")
    assert recipe["task"] == "inpaint" and recipe["run_steps"] == 8
    before, after = (np.asarray(Image.open(BytesIO(file.read_bytes())).convert("RGB")) for file in (source, out))
    kept = np.asarray(mask) == 0
    assert (before[kept] == after[kept]).all() and (before[~kept] != after[~kept]).any()


def test_without_a_database_the_configured_model_renders(tmp_path: Path) -> None:
    """In a fresh checkout, before anything was started."""
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "MODEL_DIR")}
    done = subprocess.run(
        [sys.executable, "manage.py", "render_once", "--prompt", "a red rose", "--width", "256", "--height", "256",
         "--steps", "1", "--device", "cpu", "--out", str(tmp_path / "x.png"), "--json"],
        cwd=ROOT, env=environment | {"VAR_DIR": str(tmp_path / "var")}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    recipe = json.loads(done.stdout)
    assert recipe["model"] == "Z-Image demo" and len(recipe["checksum"]) == 64 and (tmp_path / "x.png").exists()


@pytest.mark.parametrize(("arguments", "message"), [
    (["--width", "5"], "not a size that can be rendered"), (["--steps", "99"], "1 to 50 steps"),
    (["--seed", "-1"], "seed"), (["--guidance", "4"], "without guidance"),
    (["--mask", "m.png"], "needs the --image"), (["--control", "c.png"], "ControlNet"),
    (["--image", "nowhere.png"], "nowhere.png"), (["--lora", "nowhere.safetensors"], "nowhere.safetensors"),
])
def test_what_cannot_be_is_said_in_one_line(folder: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(folder, tmp_path / "x.png", *arguments)
    assert not (tmp_path / "x.png").exists()


def test_a_folder_that_cannot_be_written_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="missing"):
        run(folder, tmp_path / "missing" / "x.png", "--width", "64", "--height", "64", "--steps", "1")
