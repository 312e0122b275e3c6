"""The panel that lists what the demo model knows; and the sign-in page's samples."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.urls import reverse
from PIL import Image
from structlog.testing import capture_logs

from studio.web import model
from tests.conftest import Cast, SignIn
from tests.web.world import composer

SAMPLES = django_settings.BASE_DIR / "static" / "img"
PLAINLY = "Demo model: small world, for trying the studio"


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Iterator[Path]:
    """The demo model, whose small files a test may change."""
    copy = tmp_path / "model"
    shutil.copytree(django_settings.MODEL_DIR, copy, copy_function=os.symlink)
    settings.MODEL_DIR = copy
    model.forget()
    yield copy
    model.forget()


def write(file: Path, text: str) -> None:
    file.unlink()
    file.write_text(text, encoding="utf-8")
    model.forget()


def shown(sign_in: SignIn, cast: Cast, language: str = "en") -> str:
    page = sign_in(cast.person("marketer"), Accept_Language=language).get(reverse("studio", args=[cast.campaign.slug]))
    assert page.status_code == 200
    return page.content.decode()


def test_the_composer_says_that_it_is_the_demo_model_and_lists_what_it_knows(sign_in: SignIn, cast: Cast) -> None:
    page = shown(sign_in, cast)
    assert PLAINLY in page and page.count("data-open-world") == 2  # in the composer, and where pictures will be
    assert page.count("data-word") == 64 + 15 + 4 + 5 and page.count("data-example") == 6
    assert 'style="background:#ff7468"' in page
    assert '<span lang="en">gift box</span> <small lang="zh-CN">礼物</small>' in page
    assert "becomes a picture of something it knows" in page and "It can't write text" in page


def test_words_stand_in_the_readers_language_first(sign_in: SignIn, cast: Cast) -> None:
    cast.marketer.language = "zh-hans"
    cast.marketer.save()
    page = shown(sign_in, cast, "zh-hans")
    assert '<span lang="zh-CN">礼物</span> <small lang="en">gift box</small>' in page and "演示模型会画什么" in page


def test_a_fresh_composer_still_leads_to_the_panel_and_does_not_bring_it_again(sign_in: SignIn, cast: Cast) -> None:
    client = sign_in(cast.person("marketer"), HX_Request="true")
    answer = client.post(reverse("create-render", args=[cast.campaign.slug]), composer()).content.decode()
    assert "data-open-world" in answer and "data-word" not in answer


def test_another_model_has_no_panel(folder: Path, sign_in: SignIn, cast: Cast) -> None:
    write(folder / "studio.json", json.dumps({"name": "Z-Image-Turbo"}))
    page = shown(sign_in, cast)
    assert PLAINLY not in page and "data-open-world" not in page and "data-word" not in page


@pytest.mark.parametrize(("text", "logged"), [(None, []), ('{"things": 1}', ["model.world_unusable"])])
def test_without_a_usable_world_there_is_the_note_alone(
    folder: Path, sign_in: SignIn, cast: Cast, text: str | None, logged: list[str],
) -> None:
    write(folder / "world.json", text or "")
    if text is None:
        (folder / "world.json").unlink()
    with capture_logs() as logs:
        page = shown(sign_in, cast)
        shown(sign_in, cast)
    assert PLAINLY in page and "data-open-world" not in page and "data-word" not in page
    assert [line["event"] for line in logs if line["event"].startswith("model.")] == logged


def test_the_sign_in_page_shows_the_samples_at_their_sizes(sign_in: SignIn, db: None) -> None:
    listed = json.loads((SAMPLES / "samples.json").read_text(encoding="utf-8"))
    page = sign_in(None).get(reverse("account_login")).content.decode()
    on_the_wall = re.findall(r"img/samples/(\w+)(?:\.\w+)?\.webp", page)
    assert sorted(f"{name}.webp" for name in on_the_wall) == sorted(sample["file"] for sample in listed)
    assert {file.name for file in (SAMPLES / "samples").iterdir()} == {sample["file"] for sample in listed}
    for sample in listed:
        assert set(sample) == {"file", "prompt", "width", "height", "seed"}
        with Image.open(SAMPLES / "samples" / sample["file"]) as image:
            assert image.size == (sample["width"], sample["height"])
