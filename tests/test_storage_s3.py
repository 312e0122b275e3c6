"""The storage against a real S3 server, as the settings set it up."""

from __future__ import annotations

import hashlib
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

import pytest
from django.test import Client
from PIL import Image
from pytest_django.fixtures import Settings

from studio import storage
from studio.models import Asset, RenderJob
from studio.services import rendering, upkeep
from tests.conftest import Cast
from tests.factories import job, settled
from tests.s3_server import S3Server, answer, fetch, running, settings_from
from tests.services.fake import FlatRenderer

# One server, started by one process; and no database matters here, so once is enough.
pytestmark = [pytest.mark.slow, pytest.mark.embedded_only, pytest.mark.xdist_group("s3")]
Use = Callable[..., None]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """One server for all tests of this process."""
    with running() as server:
        yield server


@pytest.fixture
def use(settings: Settings, s3_server: S3Server) -> Use:
    """`use(S3_BUCKET=...)`: the storage as these variables set it up, on top of those of the server."""

    def apply(**variables: str) -> None:
        made = settings_from(**({
            "S3_ENDPOINT_URL": s3_server.url, "S3_BUCKET": s3_server.bucket, "S3_ADDRESSING": "path",
            "S3_ACCESS_KEY": s3_server.access_key, "S3_SECRET_KEY": s3_server.secret_key} | variables))
        settings.STORAGES = settings.STORAGES | {"default": made["STORAGES"]["default"]}
        settings.STORAGE, settings.SIGNED_LINK_SECONDS = made["STORAGE"], made["SIGNED_LINK_SECONDS"]

    return apply


@pytest.fixture(autouse=True)
def empty(use: Use, s3_server: S3Server) -> None:
    """The server's bucket, empty and in use."""
    use()
    for found in s3_server.client.list_objects_v2(Bucket=s3_server.bucket).get("Contents", ()):
        storage.delete(found["Key"])


@pytest.fixture
def key() -> str:
    """A key that nobody has used."""
    return storage.asset_key(uuid4(), "ab" * 32, "png")


def client() -> Any:
    """The boto3 client that the storage uses."""
    found = storage._bucket()
    assert found
    return found.client


def test_what_is_put_first_can_be_read_and_removed(key: str) -> None:
    for data in (b"picture", b"another"):
        assert storage.put(key, data, "image/png") == key
    with storage.open_file(key) as file:
        assert file.read() == b"picture"
    for _ in range(2):
        storage.delete(key)
    with pytest.raises(storage.FileMissing):
        storage.open_file(key)


def race(write: Callable[[bytes], object]) -> tuple[list[int], list[str]]:
    """Two threads write different bytes under one key: the server's answers, and the ETags of what it took."""
    statuses: list[int] = []
    accepted: list[str] = []

    def note(http_response: Any, parsed: dict[str, Any], **_rest: object) -> None:
        statuses.append(http_response.status_code)
        if http_response.status_code == 200:
            accepted.append(parsed["ETag"].strip('"'))

    events = client().meta.events
    events.register("after-call.s3.PutObject", note, unique_id="race")
    try:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(write, [bytes([n]) * 50_000 for n in range(2)]))
    finally:
        events.unregister("after-call.s3.PutObject", unique_id="race")
    return statuses, accepted


def test_racing_writes_keep_one_and_never_replace_it() -> None:
    for _ in range(10):
        key, together = storage.asset_key(uuid4(), "ab" * 32, "png"), threading.Barrier(2)

        def write(data: bytes, key: str = key, together: threading.Barrier = together) -> str:
            together.wait()
            return storage.put(key, data, "image/png")

        statuses, accepted = race(write)
        assert sorted(statuses) == [200, 412]
        with storage.open_file(key) as file:
            assert [hashlib.md5(file.read(), usedforsecurity=False).hexdigest()] == accepted


def test_looking_first_and_writing_then_would_replace(key: str, s3_server: S3Server) -> None:
    """Why `put` leaves the question to the server: both racers find nothing, and one loses what it wrote."""
    together = threading.Barrier(2)

    def write(data: bytes) -> None:
        assert list(storage.list_keys("assets")) == []
        together.wait()
        client().put_object(Bucket=s3_server.bucket, Key=key, Body=data)

    statuses, accepted = race(write)
    assert statuses == [200, 200]
    assert len(set(accepted)) == 2


def test_a_key_deleted_while_it_is_written_is_written_again(key: str) -> None:
    answers = [answer(409, "ConditionalRequestConflict")]
    client().meta.events.register("before-send.s3.PutObject", lambda **_: answers.pop() if answers else None)
    storage.put(key, b"picture", "image/png")
    with storage.open_file(key) as file:
        assert file.read() == b"picture" and answers == []


def test_a_store_without_conditional_writes_still_keeps_pictures(key: str) -> None:
    """Alibaba's OSS refuses the header."""
    client().meta.events.register(
        "before-send.s3.PutObject",
        lambda request, **_: answer(501, "NotImplemented") if "If-None-Match" in request.headers else None)
    for _ in range(2):
        storage.put(key, b"picture", "image/png")
    with storage.open_file(key) as file:
        assert file.read() == b"picture"


def test_a_full_store_says_so(key: str) -> None:
    client().meta.events.register("before-send.s3.PutObject", lambda **_: answer(507, "InsufficientStorage"))
    with pytest.raises(storage.StorageFull):
        storage.put(key, b"picture", "image/png")


def test_listing_walks_every_folder_and_every_page_and_tells_the_time() -> None:
    keys = {storage.asset_key(UUID(int=i), f"{i:064x}", ext) for i in range(3) for ext in ("png", "thumb.webp")}
    for key in keys:
        storage.put(key, b"x", "image/png")
    storage.put("assets-of-others/1.png", b"x", "image/png")
    requests: list[str] = []

    def small_pages(params: dict[str, Any], **_rest: object) -> None:
        params["MaxKeys"] = 2
        requests.append(params.get("ContinuationToken", ""))

    client().meta.events.register("provide-client-params.s3.ListObjectsV2", small_pages)
    found = dict(storage.list_keys("assets"))
    assert found.keys() == keys
    assert len(requests) == len(set(requests)) >= 3
    assert all(abs(at - datetime.now(UTC)) < timedelta(minutes=1) for at in found.values())
    assert list(storage.list_keys("nothing")) == []


def test_only_signed_links_open_a_file(key: str, s3_server: S3Server) -> None:
    storage.put(key, b"picture", "image/png")
    link = storage.signed_url(key)
    assert link and parse_qs(urlsplit(link).query)["X-Amz-Expires"] == ["300"]
    assert fetch(link) == (200, "image/png", b"picture")
    assert fetch(link.partition("?")[0])[0] == 403
    assert fetch(link.replace(".png", ".jpg"))[0] == 403
    assert fetch(f"{s3_server.url}/{s3_server.bucket}?list-type=2")[0] == 403


def test_a_link_lasts_as_long_as_the_settings_say(key: str, use: Use) -> None:
    storage.put(key, b"picture", "image/png")
    use(SIGNED_LINK_SECONDS="10")
    link = storage.signed_url(key)
    assert link and parse_qs(urlsplit(link).query)["X-Amz-Expires"] == ["10"] and fetch(link)[0] == 200
    bucket = storage._bucket()
    assert bucket
    link = replace(bucket, link_seconds=1).link(key, "")
    assert fetch(link)[0] == 200
    time.sleep(2.1)
    assert fetch(link)[0] == 403


def test_a_link_can_name_the_download(key: str) -> None:
    storage.put(key, b"picture", "image/png")
    link = storage.signed_url(key, "春节-1.png")
    assert link
    with urllib.request.urlopen(link, timeout=10) as response:
        assert response.headers["Content-Disposition"] == "attachment; filename*=utf-8''%E6%98%A5%E8%8A%82-1.png"


def acts(key: str) -> list[Callable[[], object]]:
    """Everything that asks the store."""
    return [lambda: storage.put(key, b"x", "image/png"), lambda: storage.open_file(key),
            lambda: storage.delete(key), lambda: list(storage.list_keys("assets"))]


def test_a_wrong_key_is_named(key: str, use: Use) -> None:
    storage.put(key, b"picture", "image/png")
    use(S3_SECRET_KEY="wrong")
    for act in acts(key):
        with pytest.raises(storage.StorageMisconfigured, match="refused the studio's access key"):
            act()
    assert fetch(storage.signed_url(key) or "")[0] == 403
    use(S3_ACCESS_KEY="nobody")
    with pytest.raises(storage.StorageMisconfigured, match="access key"):
        storage.open_file(key)


def test_a_missing_bucket_is_named(key: str, use: Use) -> None:
    use(S3_BUCKET="never-made")
    for act in acts(key):
        with pytest.raises(storage.StorageMisconfigured, match="no bucket"):
            act()


def test_a_store_that_is_away_says_so_soon(key: str, use: Use) -> None:
    use(S3_ENDPOINT_URL="http://127.0.0.1:9")
    for act in acts(key)[:2]:
        started = time.monotonic()
        with pytest.raises(storage.StorageError, match="can't be reached") as caught:
            act()
        assert type(caught.value) is storage.StorageError
        assert time.monotonic() - started < 5


def test_one_client_serves_every_thread(key: str) -> None:
    """Under ASGI each request runs in a thread of its own; making a client takes 0.1 s."""
    made: list[tuple[Any, str | None]] = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: made.append((client(), storage.signed_url(key))))
        thread.start()
        thread.join()
    assert all(theirs is client() and link and fetch(link)[0] == 404 for theirs, link in made) and len(made) == 3


@pytest.fixture
def rendered(cast: Cast) -> Asset:
    """A job of the team, rendered and stored."""
    row: RenderJob = job(cast.campaign)
    assert rendering.run_next(FlatRenderer(), "worker-1") is True
    settled(row)
    return Asset.objects.get(job=row)


def test_a_render_lands_in_the_bucket(rendered: Asset) -> None:
    assert {key for key, _at in storage.list_keys("assets")} == {rendered.file_key, rendered.thumb_key}
    with storage.open_file(rendered.file_key) as file:
        data = file.read()
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (rendered.sha256, rendered.size_bytes)


def test_pages_get_links_that_answer_with_the_picture(rendered: Asset, cast: Cast) -> None:
    viewer, stranger = Client(), Client()  # with middleware of their own, which reads this test's settings
    viewer.force_login(cast.viewer)
    stranger.force_login(cast.stranger)
    for name, content_type, kind in (("picture.png", "image/png", "PNG"), ("thumb.webp", "image/webp", "WEBP")):
        response = viewer.get(f"/assets/{rendered.pk}/{name}")
        assert response.status_code == 302 and response.headers["Cache-Control"] == "private, no-store"
        status, sent_as, data = fetch(response.headers["Location"])
        assert (status, sent_as) == (200, content_type)
        with Image.open(BytesIO(data)) as image:
            assert image.format == kind
    assert stranger.get(f"/assets/{rendered.pk}/picture.png").status_code == 404


def test_a_store_that_is_away_fails_the_render_and_charges_nothing(cast: Cast, use: Use) -> None:
    use(S3_BUCKET="away", S3_ENDPOINT_URL="http://127.0.0.1:9")
    row = job(cast.campaign)
    rendering.run_next(FlatRenderer(), "worker-1")
    row.refresh_from_db()
    assert row.status == "failed" and row.error and row.error["code"] == "storage_failed"
    assert not Asset.objects.exists()


def test_upkeep_sweeps_what_no_asset_names(rendered: Asset, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    storage.put(key, b"left behind", "image/png")
    monkeypatch.setattr(upkeep, "ORPHAN_AGE", timedelta(seconds=-60))
    assert upkeep.sweep_orphans() == 1
    assert {key for key, _at in storage.list_keys("assets")} == {rendered.file_key, rendered.thumb_key}
