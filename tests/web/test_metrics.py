"""What Prometheus reads, and who may."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import OperationalError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from studio.domain.errors import RenderError
from studio.domain.states import JobStatus
from studio.models import RenderJob, Worker
from studio.services import rendering
from studio.web import metrics
from tests.conftest import Cast, SignIn, make_cast
from tests.factories import job, worker
from tests.services.fake import FlatRenderer
from tests.web.test_sockets import listening, refused_with

TOKEN = "a-long-token-of-this-test"


def scrape(client: Client) -> dict[tuple[str, ...], float]:
    """(name, label values...) -> value."""
    response = client.get("/metrics")
    assert response.status_code == 200, response.content
    return {(sample.name, *sample.labels.values()): sample.value
            for family in parse(response.content.decode()) for sample in family.samples}


@pytest.mark.django_db
@pytest.mark.parametrize(("token", "address", "headers", "status"), [
    ("", "127.0.0.1", {}, 200), ("", "::1", {}, 200), ("", "127.3.2.1", {}, 200),
    ("", "10.0.0.7", {}, 404), ("", "", {}, 404), ("", "localhost", {}, 404), ("", "::ffff:10.0.0.7", {}, 404),
    *[("", "127.0.0.1", {name: "1.2.3.4"}, 404) for name in metrics.PROXIED],
    ("", "10.0.0.7", {"X-Forwarded-For": "127.0.0.1"}, 404),
    ("", "10.0.0.7", {"Authorization": "Bearer "}, 404), ("", "10.0.0.7", {"Authorization": "Bearer None"}, 404),
    (TOKEN, "10.0.0.7", {"Authorization": f"Bearer {TOKEN}"}, 200),
    (TOKEN, "10.0.0.7", {"Authorization": f"bearer {TOKEN}", "X-Forwarded-For": "1.2.3.4"}, 200),
    (TOKEN, "127.0.0.1", {}, 401), (TOKEN, "10.0.0.7", {"Authorization": "Bearer"}, 401),
    (TOKEN, "10.0.0.7", {"Authorization": f"Bearer {TOKEN}x"}, 401),
    (TOKEN, "10.0.0.7", {"Authorization": f"Bearer {TOKEN[:-1]}"}, 401),
    (TOKEN, "10.0.0.7", {"Authorization": f"Basic {TOKEN}"}, 401), (TOKEN, "10.0.0.7", {"Authorization": TOKEN}, 401),
    (TOKEN, "10.0.0.7", {"Authorization": "Bearer \xe9\xff\u4e2d"}, 401),
])
def test_who_may_read_them(
    client: Client, settings: Any, token: str, address: str, headers: dict[str, str], status: int,
) -> None:
    settings.METRICS_TOKEN = token
    response = client.get("/metrics", headers=headers, REMOTE_ADDR=address)
    assert response.status_code == status
    assert (b"studio_jobs" in response.content) == (status == 200)
    assert response.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)


def test_being_signed_in_opens_nothing(cast: Cast, sign_in: SignIn, settings: Any) -> None:
    settings.METRICS_TOKEN = TOKEN
    assert sign_in(cast.person("superuser")).get("/metrics").status_code == 401


@pytest.mark.django_db
def test_an_empty_studio_has_numbers(client: Client) -> None:
    found = scrape(client)
    assert found["studio_jobs", "queued"] == found["studio_jobs", "running"] == 0
    assert found["studio_queue_oldest_seconds",] == found["studio_pictures_total",] == found["studio_sockets",] == 0
    assert found["studio_workers", "idle"] == 0 and found["studio_wait_seconds_count",] == 0


def test_the_numbers_are_those_of_the_database(cast: Cast, client: Client) -> None:
    worker(gpu_memory_used=3 * 2**30, gpu_memory_total=80 * 2**30)
    worker("busy", state="busy")
    worker("gone", state="busy", busy_ms=1.0, seen_at=timezone.now() - timedelta(minutes=1))
    worker("old", state="stopped", seen_at=timezone.now() - timedelta(days=1))
    for _ in range(2):
        RenderJob.objects.filter(pk=job(cast.campaign).pk).update(created_at=timezone.now() - timedelta(seconds=40))
        assert rendering.run_next(FlatRenderer(), "worker-1")
    job(cast.campaign)

    def fail(index: int) -> None:
        raise RenderError("no")

    rendering.run_next(FlatRenderer(fail), "worker-1")
    job(cast.campaign, status=JobStatus.RUNNING)
    job(cast.campaign, created_at=timezone.now())
    RenderJob.objects.filter(pk=job(cast.campaign).pk).update(created_at=timezone.now() - timedelta(minutes=5))

    found = scrape(client)
    assert (found["studio_jobs", "queued"], found["studio_jobs", "running"]) == (2, 1)
    assert 300 <= found["studio_queue_oldest_seconds",] < 330
    assert {state: found["studio_workers", state] for state in ("idle", "busy", "starting", "stopped", "silent")} == {
        "idle": 1, "busy": 1, "starting": 0, "stopped": 1, "silent": 1}
    assert found["studio_worker_busy_seconds_total", "worker-1"] == Worker.objects.get(name="worker-1").busy_ms / 1000
    assert found["studio_worker_busy_seconds_total", "gone"] == 0.001
    assert found["studio_worker_gap_seconds_total", "worker-1"] > 0
    assert ("studio_worker_busy_seconds_total", "old") not in found
    assert found["studio_worker_gpu_memory_used_bytes", "worker-1"] == 3 * 2**30
    assert found["studio_worker_gpu_memory_bytes", "worker-1"] == 80 * 2**30
    assert ("studio_worker_gpu_memory_bytes", "busy") not in found
    assert found["studio_pictures_total",] == 2
    assert found["studio_jobs_failed_total", RenderError.code] == 1
    # The engine of these tests says 2 ms a step.
    assert found["studio_stage_seconds_count", "denoise"] == 2
    assert found["studio_stage_seconds_sum", "denoise"] == pytest.approx(0.032)
    assert [found["studio_stage_seconds_bucket", le, "denoise"] for le in ("0.01", "0.025", "7200.0", "+Inf")] == [
        0, 2, 2, 2]
    assert {key[1] for key in found if key[0] == "studio_stage_seconds_sum"} == {
        "text", "denoise", "decode", "encode", "store"}
    assert [found["studio_wait_seconds_bucket", le] for le in ("30.0", "60.0", "+Inf")] == [0, 2, 2]
    assert 80 <= found["studio_wait_seconds_sum",] < 100


def test_counters_never_fall(cast: Cast, client: Client) -> None:
    """Not even when a worker's row goes, or its failed picture is asked for again."""
    worker()
    job(cast.campaign)
    rendering.run_next(FlatRenderer(), "worker-1")
    before = scrape(client)
    Worker.objects.all().delete()
    after = scrape(client)
    fleet = {key for key in before if key[0].startswith(("studio_pictures", "studio_wait", "studio_stage"))}
    assert len(fleet) > 100
    assert [key for key in fleet if after[key] < before[key]] == []


def test_buckets_of_an_earlier_version_still_count() -> None:
    buckets, total = metrics._histogram([("0.3", 2, 0.5), ("+Inf", 1, 9000.0), ("0.25", 1, 0.2)])
    counts = dict(buckets)
    assert (counts["0.1"], counts["0.25"], counts["0.3"], counts["0.5"], counts["+Inf"]) == (0, 1, 3, 3, 4)
    assert buckets[-1][0] == "+Inf" and total == pytest.approx(9000.7)


@pytest.mark.django_db
def test_openmetrics_is_spoken_too(cast: Cast, client: Client) -> None:
    job(cast.campaign)
    rendering.run_next(FlatRenderer(), "worker-1")
    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    found = parse_openmetrics(response.content.decode())  # type: ignore[no-untyped-call]  # the package leaves it untyped
    families = {family.name: family.type for family in found}
    assert families["studio_pictures"] == "counter" and families["studio_stage_seconds"] == "histogram"
    assert families["studio_jobs"] == families["studio_sockets"] == "gauge"


def test_a_scrape_costs_a_few_queries_however_much_there_is(cast: Cast, client: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as caught:
            scrape(client)
        return len(caught)

    before = queries()
    for number in range(5):
        worker(f"w{number}")
        job(cast.campaign)
        rendering.run_next(FlatRenderer(), f"w{number}")
        job(cast.campaign)
    assert queries() == before <= 5


@pytest.mark.django_db
def test_without_a_database_there_is_no_scrape(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: object) -> None:
        raise OperationalError("away")

    with monkeypatch.context() as broken:
        broken.setattr(connection, "cursor", away)
        assert client.get("/metrics").status_code == 503


def sockets() -> float:
    return next(iter(metrics.sockets.collect())).samples[0].value


async def _become(count: int) -> None:
    for _ in range(250):
        if sockets() == count:
            break
        await asyncio.sleep(0.02)
    assert sockets() == count


@pytest.mark.django_db(transaction=True)
async def test_open_sockets_are_counted() -> None:
    cast = await sync_to_async(make_cast)()
    assert sockets() == 0
    async with listening(cast, cast.viewer), listening(cast, cast.admin):
        await _become(2)  # a socket is counted a moment after it was accepted
    await _become(0)
    assert await refused_with(cast.campaign.pk, cast.stranger) == 4404
    assert sockets() == 0  # never counted, never taken off
