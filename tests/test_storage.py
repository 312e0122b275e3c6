from __future__ import annotations

import errno
from importlib import import_module
from pathlib import Path
from uuid import UUID

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from pytest_django.fixtures import Settings

from studio import storage

JOB = UUID("00000000-0000-4000-8000-000000000001")
KEY = storage.asset_key(JOB, "ab" * 32, "png")


@pytest.fixture(autouse=True)
def local(settings: Settings, tmp_path: Path) -> Path:
    backend = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = settings.STORAGES | {"default": backend}
    return tmp_path


def test_a_key_names_its_job_and_its_bytes() -> None:
    assert f"assets/{JOB}/{'ab' * 32}.png" == KEY


def test_what_is_put_can_be_read(local: Path) -> None:
    assert storage.put(KEY, b"picture", "image/png") == KEY
    with storage.open_file(KEY) as file:
        assert file.read() == b"picture"
    assert (local / KEY).read_bytes() == b"picture"


def test_putting_twice_keeps_one_file(local: Path) -> None:
    storage.put(KEY, b"picture", "image/png")
    changed = (local / KEY).stat().st_mtime_ns
    assert storage.put(KEY, b"picture", "image/png") == KEY
    assert (local / KEY).stat().st_mtime_ns == changed
    assert [key for key, _at in storage.list_keys("assets")] == [KEY]


def test_a_half_written_file_is_written_again(local: Path) -> None:
    (local / KEY).parent.mkdir(parents=True)
    (local / KEY).write_bytes(b"pic")
    storage.put(KEY, b"picture", "image/png")
    assert (local / KEY).read_bytes() == b"picture"
    assert len(list((local / KEY).parent.iterdir())) == 1


def test_losing_a_race_leaves_no_renamed_copy(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.put(KEY, b"picture", "image/png")
    # The other process writes between the two looks, put's and Django's, and the write itself.
    looks = iter((False, False))
    monkeypatch.setattr(storages["default"], "exists", lambda name: next(looks, (local / name).exists()))
    assert storage.put(KEY, b"picture", "image/png") == KEY
    assert [path.name for path in (local / KEY).parent.iterdir()] == [Path(KEY).name]


def test_listing_walks_every_folder_and_tells_the_time(local: Path) -> None:
    keys = {storage.asset_key(UUID(int=i), f"{i:064x}", ext) for i in range(3) for ext in ("png", "thumb.webp")}
    for key in keys:
        storage.put(key, b"x", "image/png")
    found = dict(storage.list_keys("assets"))
    assert found.keys() == keys
    assert all(at.tzinfo is not None for at in found.values())
    assert list(storage.list_keys("nothing")) == []


def test_deleting_and_what_is_gone() -> None:
    storage.put(KEY, b"x", "image/png")
    storage.delete(KEY)
    storage.delete(KEY)
    with pytest.raises(storage.FileMissing):
        storage.open_file(KEY)


def test_local_files_have_no_link_of_their_own() -> None:
    assert storage.signed_url(KEY) is None


def test_half_a_file_does_not_stay_on_a_full_disk(local: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(name: str, content: ContentFile[bytes], **kwargs: object) -> None:
        path = local / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content.read(2))
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(storages["default"], "_save", half)
    with pytest.raises(storage.StorageFull):
        storage.put(KEY, b"xyz", "image/png")
    assert list(storage.list_keys("assets")) == []


def test_a_key_tells_its_job() -> None:
    assert storage.job_of(KEY) == JOB
    assert storage.job_of("assets") is storage.job_of("assets/strange/file") is None


@pytest.mark.parametrize(("code", "kind"), [
    (errno.ENOSPC, storage.StorageFull), (errno.EDQUOT, storage.StorageFull), (errno.EROFS, storage.StorageError),
])
def test_a_disk_that_fails_says_so(monkeypatch: pytest.MonkeyPatch, code: int, kind: type[Exception]) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(code, "failed")

    monkeypatch.setattr(storages["default"], "_save", fail)
    with pytest.raises(kind) as caught:
        storage.put(KEY, b"x", "image/png")
    assert type(caught.value) is kind


@pytest.mark.parametrize("name", ["ConnectionClosedError", "EndpointConnectionError", "ReadTimeoutError"])
def test_a_line_to_the_store_that_breaks_is_a_store_that_is_away(name: str) -> None:
    """These errors of botocore's have a `response` without anything in it."""
    error = getattr(import_module("botocore.exceptions"), name)(endpoint_url="http://127.0.0.1", error="broken")
    with pytest.raises(storage.StorageError) as caught, storage._translated():
        raise error
    assert caught.value.code == "storage_failed"
