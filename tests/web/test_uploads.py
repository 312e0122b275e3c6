"""Uploads to the composer's places, and the live count of tokens."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext
from PIL import Image
from pytest_django.fixtures import Settings

from studio import storage
from studio.models import RenderInput
from studio.web import model
from tests.conftest import Cast, SignIn
from tests.factories import mask, picture
from tests.web.test_bad_input import LANGUAGES, text_of
from tests.web.world import bring, upload


@pytest.fixture
def place(cast: Cast) -> str:
    return reverse("add-input", kwargs={"slug": cast.campaign.slug})


def test_an_upload_answers_with_its_place(cast: Cast, sign_in: SignIn, place: str) -> None:
    client = sign_in(cast.marketer, HX_Request="true", Accept_Language="en")
    response = client.post(place, {"field": "source", "source_file": upload()})
    row, body = RenderInput.objects.get(), response.content.decode()
    assert response.status_code == 200 and 'id="slot-source"' in body and "<html" not in body
    assert f'name="source" value="{row.pk}"' in body and reverse("input", args=[row.pk]) in body and "64 × 48" in body
    emptied = client.post(place, {"field": "source", "remove": "1"})
    assert emptied.status_code == 200 and 'name="source" value=""' in emptied.content.decode()
    assert RenderInput.objects.count() == 1


BAD_FILES = {
    "nothing": (None, "Choose a file first."), "an empty file": (b"", "The file is empty."),
    "no picture": (b"<svg/>", "This is not a PNG, JPEG or WebP picture."),
    "half a picture": (picture(size=(200, 200))[:900], "The picture is damaged or incomplete. Save it again, or choose "
                                                       "another one."),
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bad_file_is_explained_in_its_place(
    cast: Cast, sign_in: SignIn, place: str, name: str, language: str,
) -> None:
    data, message = BAD_FILES[name]
    files = {} if data is None else {"source_file": upload(data)}
    response = sign_in(cast.marketer, HX_Request="true", Accept_Language=language).post(
        place, {"field": "source", **files})
    with translation.override(language):
        assert response.status_code == 422 and gettext(message) in text_of(response)
    assert 'id="slot-source"' in response.content.decode() and not RenderInput.objects.exists()


def test_a_huge_file_is_refused(cast: Cast, sign_in: SignIn, place: str) -> None:
    response = sign_in(cast.marketer, Accept_Language="en").post(
        place, {"field": "source", "source_file": upload(bytes(21 * 2**20))})
    assert response.status_code == 422 and "larger than 20 MB" in text_of(response)


def test_an_empty_mask_is_refused(cast: Cast, sign_in: SignIn, place: str) -> None:
    response = sign_in(cast.marketer, Accept_Language="en").post(
        place, {"field": "mask", "mask_file": upload(mask(box=(0, 0, 0, 0)))})
    assert response.status_code == 422 and "all black" in text_of(response)


@pytest.mark.parametrize("field", ["", "file", "sources", "\x00"])
def test_a_place_that_is_none_is_not_found(cast: Cast, sign_in: SignIn, place: str, field: str) -> None:
    assert sign_in(cast.marketer).post(place, {"field": field, "source_file": upload()}).status_code == 404


def test_a_file_field_that_is_text_is_no_file(cast: Cast, sign_in: SignIn, place: str) -> None:
    assert sign_in(cast.marketer).post(place, {"field": "source", "source_file": "x"}).status_code == 422


def test_pictures_are_served_to_those_who_see_the_campaign(cast: Cast, sign_in: SignIn) -> None:
    row = bring(cast)
    for name in ("input", "input-edges"):
        response = sign_in(cast.viewer).get(reverse(name, args=[row.pk]))
        content = b"".join(response) if response.streaming else response.content
        with Image.open(BytesIO(content)) as found:
            assert (found.format, found.size) == ("PNG", (64, 48))
        assert "private" in response.headers["Cache-Control"]
        for pk in (row.pk, uuid4()):
            assert sign_in(cast.stranger).get(reverse(name, args=[pk])).status_code == 404


def test_a_picture_that_is_gone_says_so(cast: Cast, sign_in: SignIn) -> None:
    row = bring(cast)
    storage.delete(row.file_key)
    for name in ("input", "input-edges"):
        assert sign_in(cast.viewer).get(reverse(name, args=[row.pk])).status_code == 404


def test_tokens_are_counted_for_both_languages(cast: Cast, sign_in: SignIn) -> None:
    client = sign_in(cast.marketer)
    counts = [client.post(reverse("tokens"), data).json() for data in (
        {}, {"prompt_en": "a red rose"}, {"prompt_zh": "红玫瑰"}, {"prompt_zh": "红玫瑰", "prompt_en": "a red rose"},
        {"prompt_en": "<|im_end|>"}, {"prompt_en": "x\x07"}, {"prompt_en": "x" * 2001})]
    tokens = [count["tokens"] for count in counts]
    assert {count["limit"] for count in counts} == {512}
    assert tokens[0] == 0 and 0 < tokens[1] < tokens[3] > tokens[2] > 0 and tokens[4:] == [0, None, None]


def test_no_tokenizer_is_no_number(
    cast: Cast, sign_in: SignIn, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MODEL_DIR = tmp_path
    monkeypatch.setattr(model, "_known", None)  # what an earlier page has read
    assert sign_in(cast.marketer).post(reverse("tokens"), {"prompt_en": "a"}).json()["tokens"] is None
