"""Where pictures are kept: the only user of Django's storage API.

Keys are content-addressed, so a key once written never changes: writing it again is a success
without a write. On S3 this module calls boto3's client itself, because Django's API has no
conditional write, lists with one request per file, and hides a missing bucket.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import structlog
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, storages
from django.utils.http import content_disposition_header

from studio.domain.errors import StudioError
from studio.domain.i18n import gettext_noop as _

log = structlog.get_logger(__name__)

_FULL = {errno.ENOSPC, errno.EDQUOT}
#: Bytes below which a local disk counts as full: a large picture and its thumbnail must fit.
ROOM = 100 * 10**6


class StorageError(StudioError):
    """The place where pictures are kept did not do what was asked."""

    status = 503
    code = "storage_failed"
    message = _("The file storage can't be reached.")
    hint = _("Nothing was charged. Try again in a minute; if it stays, tell the person who runs this server.")


class StorageMisconfigured(StorageError):
    """The store answers, and says that the studio's settings are wrong."""

    code = "storage_misconfigured"
    message = _("The file storage refused the studio's access key.")
    hint = _("Nothing was charged. Tell the person who runs this server to check the S3_* settings.")


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


def asset_key(job_id: UUID, sha256: str, ext: str) -> str:
    """The key of a file of one job, from the SHA-256 (hex) of its bytes; `ext` without a dot."""
    return f"assets/{job_id}/{sha256}.{ext}"


def input_key(team_id: int, sha256: str) -> str:
    """The key of a picture that people of a team brought, from the SHA-256 (hex) of its PNG."""
    return f"inputs/{team_id}/{sha256}.png"


def job_of(key: str) -> UUID | None:
    """The job whose file has this key; None when it is not a key that `asset_key` makes."""
    try:
        return UUID(key.split("/")[1])
    except (IndexError, ValueError):
        return None


def put(key: str, data: bytes, content_type: str) -> str:
    """Keep `data` under `key` unless it is there already; return `key`. Browsers get it as `content_type`.

    Raises StorageFull, StorageMisconfigured, or StorageError when the storage is away.
    """
    with _translated():
        if bucket := _bucket():
            bucket.put(key, data, content_type)
        else:
            _put_file(storages["default"], key, data)
    return key


def open_file(key: str) -> File[bytes]:
    """Open the file for reading; the caller closes it. Raises FileMissing, StorageError.

    From S3 the whole file comes into memory, so that reading it fails here or not at all.
    """
    with _translated():
        if bucket := _bucket():
            return ContentFile(bucket.get(key))
        return storages["default"].open(key, "rb")


def exists(key: str) -> bool:
    """Whether a file has this key. Raises StorageError when the storage is away."""
    with _translated():
        return storages["default"].exists(key)


def check() -> None:
    """Ask whether files can be kept now. Raises StorageFull, StorageMisconfigured, StorageError."""
    with _translated():
        if bucket := _bucket():
            bucket.client.head_bucket(Bucket=bucket.name)
            return
        folder = storages["default"].path("")
        os.makedirs(folder, exist_ok=True)  # as the first picture would
        if shutil.disk_usage(folder).free < ROOM:
            raise OSError(errno.ENOSPC, "hardly any room is left")
        with tempfile.TemporaryFile(dir=folder) as probe:  # a quota or a read-only disk shows only now
            probe.write(bytes(4096))
            probe.flush()


def delete(key: str) -> None:
    """Remove the file; nothing happens when it is not there. Raises StorageError."""
    with _translated():
        if bucket := _bucket():
            bucket.client.delete_object(Bucket=bucket.name, Key=key)
        else:
            storages["default"].delete(key)


def signed_url(key: str, download: str = "") -> str | None:
    """A link to the file that works for a short time, or None where the web process must send it.

    With `download`, browsers save the file under that name instead of showing it. Signing asks
    nobody: the file need not exist. Raises StorageError when there is no access key to sign with.
    """
    with _translated():
        bucket = _bucket()
        return bucket.link(key, download) if bucket else None


def list_keys(prefix: str) -> Iterator[tuple[str, datetime]]:
    """All keys under the folder `prefix` and when each was written, in no certain order. Raises StorageError."""
    with _translated():
        bucket = _bucket()
        pages = bucket.pages(prefix.strip("/")) if bucket else _file_pages(prefix.strip("/"))
    while True:
        with _translated():
            page = next(pages, None)
        if page is None:
            return
        yield from page


def _put_file(store: Storage, key: str, data: bytes) -> None:
    if store.exists(key):
        if store.size(key) == len(data):
            return
        store.delete(key)  # left behind half-written by a process that died
    try:
        saved = store.save(key, ContentFile(data))
    except OSError:
        with suppress(OSError):
            store.delete(key)  # half a file on a full disk would take the room that the database needs
        raise
    if saved != key:  # another process wrote the same bytes first, and Django chose a new name
        store.delete(saved)


def _file_pages(prefix: str) -> Iterator[list[tuple[str, datetime]]]:
    """The folder's files and those of every folder below it, one folder at a time."""
    store, pending = storages["default"], [prefix]
    while pending:
        folder = pending.pop()
        try:
            folders, files = store.listdir(folder)
        except FileNotFoundError:  # nothing was ever kept there
            continue
        pending.extend(f"{folder}/{name}" for name in folders)
        found: list[tuple[str, datetime]] = []
        for name in files:
            with suppress(FileNotFoundError):  # removed meanwhile
                found.append((f"{folder}/{name}", store.get_modified_time(f"{folder}/{name}")))
        yield found


@dataclass(frozen=True, slots=True)
class _Bucket:
    """A bucket of an S3 store, and a boto3 client for it. Methods raise botocore's errors."""

    client: Any
    name: str
    link_seconds: int

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Write unless the key exists: the store itself decides, so of two racing writes one is kept."""
        upload = partial(self.client.put_object, Bucket=self.name, Key=key, Body=data, ContentType=content_type)
        try:
            upload(IfNoneMatch="*")
        except self.client.exceptions.ClientError as error:
            status = _answer(error)[0]
            if status == 412:  # it is there
                return
            if status not in (409, 501):
                raise
            # 409: it was deleted while we wrote. 501: a store without conditional writes, Alibaba's OSS for one;
            # there a second write replaces the bytes of this key by the same bytes.
            upload()

    def get(self, key: str) -> bytes:
        """The object's bytes."""
        data: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def link(self, key: str, download: str) -> str:
        """A signed link, computed here."""
        wanted = {"Bucket": self.name, "Key": key}
        if download:
            wanted["ResponseContentDisposition"] = content_disposition_header(True, download) or ""
        link: str = self.client.generate_presigned_url("get_object", Params=wanted, ExpiresIn=self.link_seconds)
        return link

    def pages(self, prefix: str) -> Iterator[list[tuple[str, datetime]]]:
        """The keys below `prefix`, one answer of the store (up to 1000) at a time."""
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=f"{prefix}/"):
            yield [(found["Key"], found["LastModified"]) for found in page.get("Contents", ())]


_buckets: WeakKeyDictionary[Storage, _Bucket] = WeakKeyDictionary()


def _bucket() -> _Bucket | None:
    """The S3 bucket, or None where files lie on the local disk."""
    store: Any = storages["default"]
    if not hasattr(type(store), "connection"):
        return None
    if store not in _buckets:
        # django-storages makes a client (0.1 s, up to 13 MB) in each thread, and under ASGI each request has a thread
        # of its own. Clients are safe to share between threads.
        _buckets[store] = _Bucket(store.connection.meta.client, store.bucket_name, store.querystring_expire)
    return _buckets[store]


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the backends raise into this module's errors; the log gets their own words."""
    try:
        yield
    except _failures() as error:
        meaning = _meaning(error)
        if not isinstance(meaning, FileMissing):
            log.warning("storage.failed", code=meaning.code, reason=str(error))
        raise meaning from error


def _failures() -> tuple[type[Exception], ...]:
    # Importing botocore costs a local installation memory for nothing; S3 storages have loaded it.
    botocore: Any = sys.modules.get("botocore.exceptions")
    return (OSError, botocore.BotoCoreError, botocore.ClientError) if botocore else (OSError,)


def _meaning(error: Exception) -> StorageError:
    status, code = _answer(error)
    if isinstance(error, FileNotFoundError) or code == "NoSuchKey":
        return FileMissing()
    if code == "NoSuchBucket":
        return StorageMisconfigured(_("The file storage has no bucket of the name in the settings."))
    if status in (401, 403):
        return StorageMisconfigured()
    if status == 507 or (isinstance(error, OSError) and error.errno in _FULL):
        return StorageFull()
    return StorageError()


def _answer(error: Exception) -> tuple[int, str]:
    """HTTP status and S3 error code of the store's answer; (0, "") when there was none."""
    # botocore's errors of the connection have a `response`, too: None.
    response: dict[str, dict[str, Any]] = getattr(error, "response", None) or {}
    return response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0), response.get("Error", {}).get("Code", "")
