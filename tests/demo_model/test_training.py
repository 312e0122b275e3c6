"""The whole training runs, from the pictures to a model that the studio takes; a few steps of each stage."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from demo_model import captions, export, layouts, scenes, source
from demo_model.training import Run
from demo_model.words import GROUNDS, STYLES, THINGS, usual_ground
from studio import checkpoint

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.render
@pytest.mark.slow
@pytest.mark.skipif(shutil.which("npm") is None, reason="npm fetches the pictures that the training composes")
def test_every_stage_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demo_model", "--smoke", "--keep", str(tmp_path)], cwd=ROOT,
        capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads((tmp_path / "score.json").read_text(encoding="utf-8"))
    assert report["prompts"] == 4
    # What comes out is a model as the studio takes it, even if it draws nothing yet.
    made = tmp_path / "z-image-demo"
    card = checkpoint.verify(made)
    assert card.demo
    assert json.loads((made / "world.json").read_text(encoding="utf-8")) == export.world()
    assert sum(file.stat().st_size for file in made.rglob("*") if file.is_file()) < 40e6


def test_the_world_is_large_enough() -> None:
    assert (len(THINGS), len(GROUNDS), len(STYLES)) == (64, 15, 4)
    for names in ([name for thing in THINGS for name in (*thing.en, *thing.zh)],
                  [name for ground in GROUNDS for name in (*ground.en, *ground.zh)]):
        assert [name for name, count in Counter(names).items() if count > 1] == []
    assert all(0 <= usual_ground(index) < len(GROUNDS) for index in range(len(THINGS)))


def test_what_is_held_out_is_never_painted() -> None:
    rng = random.Random(5)
    drawn = [scenes.draw(rng) for _ in range(3000)]
    assert not [scene for scene in drawn for thing in scene.things
                if scenes.is_held_out(thing, scene.ground, scene.style)]
    kept = sum(scenes.is_held_out(thing, ground, style) for thing in range(64) for ground in range(15)
               for style in range(4))
    assert kept > 200  # enough for the test to draw from
    assert {scene.size for scene in drawn} == set(scenes.SIZES)
    assert {scene.place for scene in drawn} == {"centre", "left", "right", "top", "bottom", "pair"}


def test_sizes_are_whole_patches() -> None:
    for width, height in scenes.SIZES:
        assert width % 64 == height % 64 == 0
        assert min(width, height) == 384


def test_things_stand_whole_on_the_grid_of_the_patches() -> None:
    for size in scenes.SIZES:
        for place in layouts.places(size):
            found = layouts.boxes(size, place)
            assert len(found) == (2 if place == "pair" else 1)
            for left, top, side in found:
                assert left % scenes.PATCH == top % scenes.PATCH == side % scenes.PATCH == 0
                assert left >= 0 <= top
                assert left + side <= size[0]
                assert top + side <= size[1]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_captions_name_what_is_shown(language: str) -> None:
    rng = random.Random(6)
    for _ in range(300):
        scene = scenes.draw(rng)
        text = captions.caption(scene, rng).lower()
        chinese = re.search("[\u4e00-\u9fff]", text) is not None
        if not scene.known or chinese != (language == "zh"):
            continue
        for thing in scene.things:
            names = THINGS[thing].zh if chinese else THINGS[thing].en
            assert any(name.lower() in text for name in names), text
        if scene.says_colour:
            ground = GROUNDS[scene.ground]
            assert any(name in text for name in (ground.zh if chinese else ground.en)), text


def test_pictures_that_npm_cannot_give_are_refused_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(SystemExit, match="needs npm"):
        source.folder(tmp_path)

    def another(command: list[str], **_options: object) -> SimpleNamespace:
        target = Path(command[command.index("--pack-destination") + 1])
        (target / "lobehub.tgz").write_bytes(b"something else")
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "run", another)
    with pytest.raises(SystemExit, match="not the archive"):
        source.folder(tmp_path)
    assert not (tmp_path / "pictures").exists()


def test_a_run_ends_by_its_clock_or_its_steps(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(2, 2))
    run = Run(tmp_path, "cpu", minutes=60, steps=3)
    rates = []
    while run.goes_on:
        rates.append(run.rate(1.0, warm=1, hold=.5, lowest=.1))
        run.backward(weight.square().sum(), [weight])
    assert run.step == 3
    assert rates[0] == 1.0
    assert rates[-1] < 1.0
