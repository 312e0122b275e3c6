from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from pytest_django.fixtures import Settings

from studio import storage
from tests.conftest import SignIn
from tests.factories import PNG, WEBP
from tests.web.world import World


def _body(response: Any) -> bytes:
    return b"".join(response.streaming_content)


@pytest.mark.parametrize(("name", "content", "kind"), [("picture", PNG, "image/png"), ("thumb", WEBP, "image/webp")])
def test_members_get_the_file_and_only_their_browser_keeps_it(
    world: World, sign_in: SignIn, name: str, content: bytes, kind: str,
) -> None:
    response = sign_in(world.cast.viewer).get(reverse(name, args=[world.draft.pk]))
    assert response.status_code == 200 and _body(response) == content
    assert response.headers["Content-Type"] == kind and response.headers["Content-Length"] == str(len(content))
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    kept = set(response.headers["Cache-Control"].split(", "))
    assert kept == {"private", "max-age=86400", "immutable"}
    assert "attachment" not in response.headers.get("Content-Disposition", "")


def test_a_download_has_a_name_that_says_what_it_is(world: World, sign_in: SignIn) -> None:
    response = sign_in(world.cast.viewer).get(reverse("picture", args=[world.draft.pk]) + "?download")
    name = f"{world.cast.campaign.slug}-{world.draft.job.frame}-64x64.png"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    response.close()


@pytest.mark.parametrize("name", ["picture", "thumb"])
def test_strangers_cannot_tell_a_picture_from_nothing(world: World, sign_in: SignIn, name: str) -> None:
    client = sign_in(world.cast.stranger)
    assert [client.get(reverse(name, args=[pk])).status_code for pk in (world.draft.pk, 10**9)] == [404, 404]


def test_a_file_that_is_gone_says_so(world: World, sign_in: SignIn) -> None:
    storage.delete(world.draft.file_key)
    response = sign_in(world.cast.viewer, Accept_Language="en").get(reverse("picture", args=[world.draft.pk]))
    assert response.status_code == 404 and "no longer exists" in response.content.decode()


def test_an_object_store_is_linked_to_for_a_short_time(world: World, sign_in: SignIn, settings: Settings) -> None:
    settings.STORAGES = settings.STORAGES | {"default": {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {
        "bucket_name": "pictures", "region_name": "eu-central-1", "access_key": "k", "secret_key": "s",
        "querystring_expire": 60}}}
    response = sign_in(world.cast.viewer).get(reverse("picture", args=[world.draft.pk]))
    assert response.status_code == 302 and response.headers["Cache-Control"] == "private, no-store"
    assert world.draft.file_key in response.headers["Location"] and "Expires=60" in response.headers["Location"]
