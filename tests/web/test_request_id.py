"""One id finds a render in the logs: from the browser's request through the queue to the stored picture."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.test import Client
from django.urls import reverse

from studio.domain.errors import RenderError
from studio.domain.states import JobStatus
from studio.models import Asset, RenderBatch, RenderJob
from studio.services import dispatch, rendering, upkeep
from studio.worker.finisher import Finisher
from tests.conftest import Cast, SignIn, make_cast
from tests.factories import BatchFactory, ad_format, job, worker
from tests.services.fake import FlatRenderer
from tests.web.sockets import BrowserSocket
from tests.web.world import composer
from zimage_web.asgi import application

OURS = "ours-2026.11_25"


def lines(caplog: pytest.LogCaptureFixture, event: str = "", **fields: object) -> list[dict[str, Any]]:
    """The log lines of that event with these fields, in order."""
    found = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [line for line in found if (not event or line["event"] == event) and fields.items() <= line.items()]


@pytest.fixture
def committed(transactional_db: None) -> Cast:
    """For threads that look from their own connection."""
    return make_cast()


def test_a_well_formed_id_is_taken_and_given_back(client: Client) -> None:
    for offered in (OURS, "a" * 8, "Z" * 64, "00000000-0000-4000-8000-000000000000"):
        assert client.get("/healthz", headers={"X-Request-ID": offered}).headers["X-Request-ID"] == offered


@pytest.mark.parametrize("offered", [
    "", "short", "a" * 65, "with space!", "line\nbreak", "carriage\rreturn", "tab\ttabtab", "nul\x00nulnul",
    "escape\x1b[2Jescape", "ünïcödé-id", "请求编号请求编号", "{{7*7}}aaaa", '"; drop table', "../../etc/passwd",
    "a" * 8 + "\n", "１２３４５６７８"])
def test_anything_else_is_replaced(client: Client, caplog: pytest.LogCaptureFixture, offered: str) -> None:
    given = client.get("/healthz", headers={"X-Request-ID": offered}).headers["X-Request-ID"]
    assert re.fullmatch(r"[0-9a-f]{32}", given)
    assert [line["request_id"] for line in lines(caplog, "request")] == [given]


def test_each_request_has_one_line(cast: Cast, sign_in: SignIn, caplog: pytest.LogCaptureFixture) -> None:
    client = sign_in(cast.person("marketer"), X_Request_ID=OURS)
    path = reverse("studio", args=[cast.campaign.slug])
    client.get(path, {"q": "secret-words"})
    line, = lines(caplog, "request")
    assert {name: line[name] for name in ("method", "path", "status", "user", "request_id", "level")} == {
        "method": "GET", "path": path, "status": 200, "user": cast.marketer.pk, "request_id": OURS, "level": "info"}
    assert 0 < line["ms"] < 60_000 and "secret-words" not in caplog.text


def test_refusals_and_strangers_have_theirs(db: None, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    client.get("/", headers={"X-Request-ID": OURS})
    client.get("/nowhere/%0A%1B[2J" + "x" * 1000, headers={"X-Request-ID": OURS})
    found = lines(caplog, "request", request_id=OURS, user=None)
    assert [line["status"] for line in found] == [302, 404]
    assert found[1]["path"].startswith("/nowhere/%0A%1B%5B2J") and len(found[1]["path"]) == 300


def test_what_django_says_of_a_404_has_the_id_too(db: None, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    formatter = next(h.formatter for h in logging.getLogger().handlers if type(h) is logging.StreamHandler)
    caplog.handler.setFormatter(formatter)  # the settings' own
    client.get("/nowhere/", headers={"X-Request-ID": OURS})
    line, = [line for line in caplog.text.splitlines() if "Not Found" in line]
    assert OURS in line


def test_the_key_of_a_password_reset_is_not_logged(
    cast: Cast, client: Client, caplog: pytest.LogCaptureFixture,
) -> None:
    key = default_token_generator.make_token(cast.marketer)
    response = client.get(f"/password/reset/key/1-{key}/")
    assert response.status_code in (200, 302)
    line, = lines(caplog, "request")
    assert line["path"] == "/password/reset/key/1-.../" and key not in caplog.text


def test_one_id_from_the_request_to_the_stored_picture(
    committed: Cast, sign_in: SignIn, caplog: pytest.LogCaptureFixture,
) -> None:
    worker()
    ad_format("taobao-main")  # an earlier test may have emptied the table
    client = sign_in(committed.person("marketer"), X_Request_ID=OURS)
    url = reverse("create-render", args=[committed.campaign.slug])
    assert client.post(url, composer(count=2)).status_code == 302
    batch = RenderBatch.objects.get()
    assert batch.request_id == OURS
    client.get("/healthz", headers={"X-Request-ID": "another-one"})  # what this thread does next is not ours
    with Finisher() as finisher:  # whose thread inherits nothing
        while rendering.run_next(FlatRenderer(), "worker-1", finisher.later):
            pass
    ours = lines(caplog, request_id=OURS)
    assert [line["event"] for line in ours] == ["render.requested", "request", "render.done", "render.done"]
    assert ours[0]["batch"] == batch.pk and ours[0]["user"] == committed.marketer.pk
    done = {(line["job"], line["attempt"]) for line in ours if line["event"] == "render.done"}
    assert done == {(str(pk), 1) for pk in Asset.objects.values_list("job_id", flat=True)}


@pytest.mark.parametrize(("error", "said"), [
    (RenderError("It can't."), "It can't."), (ZeroDivisionError("oops"), "ZeroDivisionError: oops")])
def test_a_failure_is_found_by_the_id(
    cast: Cast, caplog: pytest.LogCaptureFixture, error: Exception, said: str,
) -> None:
    def fail(index: int) -> None:
        raise error

    mine = job(cast.campaign, batch=BatchFactory.create(campaign=cast.campaign, request_id=OURS))
    try:
        rendering.run_next(FlatRenderer(fail), "worker-1")
    except ZeroDivisionError:
        assert isinstance(error, ZeroDivisionError)
    line, = lines(caplog, "render.failed")
    assert (line["request_id"], line["job"], line["attempt"], line["reason"]) == (OURS, str(mine.pk), 1, said)


def test_a_job_taken_back_is_found_by_the_id(cast: Cast, caplog: pytest.LogCaptureFixture) -> None:
    batch = BatchFactory.create(campaign=cast.campaign, request_id=OURS)
    job(cast.campaign, batch=batch)
    taken = dispatch.claim_next("worker-1")
    assert taken and upkeep.take_back(worker="worker-1") == 1
    assert [line["request_id"] for line in lines(caplog, "upkeep.taken_back")] == [OURS]
    rendering.run_next(FlatRenderer(), "worker-1")
    line, = lines(caplog, "render.done")
    assert (line["request_id"], line["attempt"]) == (OURS, 2)


def test_a_retry_has_the_id_of_who_asked_again(cast: Cast, sign_in: SignIn) -> None:
    failed = BatchFactory.create(campaign=cast.campaign, requested_by=cast.marketer, request_id=OURS)
    old = job(cast.campaign, batch=failed, status=JobStatus.FAILED)
    sign_in(cast.person("marketer"), X_Request_ID="again-0002").post(reverse("retry-job", args=[old.pk]))
    assert RenderJob.objects.exclude(pk=old.pk).get().batch.request_id == "again-0002"


async def _healthz(request_id: str) -> bytes:
    headers = [(b"host", b"127.0.0.1"), (b"x-request-id", request_id.encode())]
    communicator: Any = ApplicationCommunicator  # asgiref leaves its methods untyped
    line = communicator(application, {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": "/healthz",
        "raw_path": b"/healthz", "query_string": b"", "root_path": "", "scheme": "http", "headers": headers,
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000)})
    await line.send_input({"type": "http.request"})
    answer = await line.receive_output(5)
    found: bytes = dict(answer["headers"])[b"X-Request-ID"]
    return found


async def test_requests_side_by_side_keep_their_ids(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"request-{number:03}" for number in range(20)]
    assert await asyncio.gather(*map(_healthz, names)) == [name.encode() for name in names]
    assert sorted(line["request_id"] for line in lines(caplog, "request")) == names


async def test_a_socket_has_an_id(committed: Cast, caplog: pytest.LogCaptureFixture) -> None:
    opened = BrowserSocket(committed.campaign.pk, b"")
    assert await opened.connect() and await opened.closed_with() == 4401
    line, = lines(caplog, "socket.closed")
    assert re.fullmatch(r"[0-9a-f]{32}", line["request_id"])
    assert (line["topic"], line["user"], line["code"]) == (f"campaign.{committed.campaign.pk}", None, 4401)


PRODUCTION = """
import django
django.setup()
from django.test import Client
Client(headers={"X-Request-ID": "ours-2026.11_25"}).get("/healthz", {"q": "words"})
"""


def test_production_writes_it_as_json() -> None:
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "zimage_web.settings", "STUDIO_SHAPE": "production", "SECRET_KEY": "x" * 40,
        "DATABASE_URL": "postgres://127.0.0.1/nothing", "ALLOWED_HOSTS": "testserver", "LOG_LEVEL": "INFO"}
    done = subprocess.run(
        [sys.executable, "-c", PRODUCTION], cwd=settings.BASE_DIR, env=environment, capture_output=True, text=True,
        check=True)
    line = json.loads(done.stderr.splitlines()[-1])
    assert {name: line[name] for name in ("event", "level", "method", "path", "status", "user", "request_id")} == {
        "event": "request", "level": "info", "method": "GET", "path": "/healthz", "status": 200, "user": None,
        "request_id": OURS}
    assert line["timestamp"] and line["ms"] >= 0
