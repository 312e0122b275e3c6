"""Where pictures are kept: the only user of Django's storage API.

Keys are content-addressed, so a key once written never changes: writing it again is a success
without a write.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, storages

from studio.domain.errors import StudioError
from studio.domain.i18n import gettext_noop as _

_FULL = {errno.ENOSPC, errno.EDQUOT}


class StorageError(StudioError):
    """The place where pictures are kept did not do what was asked."""

    status = 503
    code = "storage_failed"
    message = _("The file storage can't be reached.")
    hint = _("Nothing was charged. Try again in a minute; if it stays, tell the person who runs this server.")


class StorageFull(StorageError):
    """No room is left for another file."""

    status = 507
    code = "storage_full"
    message = _("The file storage is full. The picture was not kept.")
    hint = _("Nothing was charged. Free some space on the disk, then render again.")


class FileMissing(StorageError):
    """No file has this key."""

    status = 404
    code = "file_missing"
    message = _("This file no longer exists.")
    hint = ""


class _Upload(ContentFile):  # type: ignore[type-arg]  # not subscriptable at run time
    """Bytes with the content type that object stores send back to browsers."""

    def __init__(self, data: bytes, content_type: str) -> None:
        super().__init__(data)
        self.content_type = content_type


def asset_key(job_id: UUID, sha256: str, ext: str) -> str:
    """The key of a file of one job, from the SHA-256 (hex) of its bytes; `ext` without a dot."""
    return f"assets/{job_id}/{sha256}.{ext}"


def put(key: str, data: bytes, content_type: str) -> str:
    """Keep `data` under `key` unless it is there already; return `key`.

    Raises StorageFull, or StorageError when the storage is away.
    """
    with _translated():
        store = _store()
        if store.exists(key):
            if store.size(key) == len(data):
                return key
            store.delete(key)  # left behind half-written by a process that died
        saved = store.save(key, _Upload(data, content_type))
        if saved != key:  # another process wrote the same bytes first, and Django chose a new name
            store.delete(saved)
    return key


def open_file(key: str) -> File[bytes]:
    """Open the file for reading; the caller closes it. Raises FileMissing, StorageError."""
    with _translated():
        return _store().open(key, "rb")


def delete(key: str) -> None:
    """Remove the file; nothing happens when it is not there. Raises StorageError."""
    with _translated():
        _store().delete(key)


def signed_url(key: str) -> str | None:
    """A link to the file that works for a short time, or None where the web process must send it."""
    store = _store()
    if not getattr(store, "querystring_auth", False):
        return None
    with _translated():
        return store.url(key)


def list_keys(prefix: str) -> Iterator[tuple[str, datetime]]:
    """All keys under the folder `prefix` and when each was written, in no certain order. Raises StorageError."""
    pending = [prefix.strip("/")]
    while pending:
        folder = pending.pop()
        found: list[tuple[str, datetime]] = []
        with _translated():
            try:
                folders, files = _store().listdir(folder)
            except FileNotFoundError:  # nothing was ever kept there
                continue
            pending.extend(f"{folder}/{name}" for name in folders)
            for name in files:
                key = f"{folder}/{name}"
                with suppress(FileNotFoundError):  # removed meanwhile
                    found.append((key, _store().get_modified_time(key)))
        yield from found


def _store() -> Storage:
    return storages["default"]


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the backends raise into this module's errors."""
    try:
        yield
    except _failures() as error:
        if isinstance(error, FileNotFoundError):
            raise FileMissing() from error
        if isinstance(error, OSError) and error.errno in _FULL:
            raise StorageFull() from error
        raise StorageError() from error


def _failures() -> tuple[type[Exception], ...]:
    # Importing botocore costs a local installation memory for nothing; S3 storages have loaded it.
    botocore: Any = sys.modules.get("botocore.exceptions")
    return (OSError, botocore.BotoCoreError, botocore.ClientError) if botocore else (OSError,)
