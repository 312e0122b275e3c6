"""Pictures are stored beside the next render: nothing waits, nothing is lost, and the lease is kept meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from studio import storage
from studio.domain.errors import StudioError
from studio.domain.states import JobStatus
from studio.models import Asset, RenderJob, Worker
from studio.services import delivery, rendering
from studio.worker.finisher import Finisher
from tests.conftest import Cast
from tests.factories import job, worker
from tests.services.fake import FlatRenderer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def three(cast: Cast) -> list[RenderJob]:
    worker()
    return [job(cast.campaign) for _ in range(3)]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The storage takes nothing until it is opened."""
    opened, put = threading.Event(), storage.put

    def slow(*args: Any) -> str:
        assert opened.wait(10)
        return put(*args)

    monkeypatch.setattr(storage, "put", slow)
    yield opened
    opened.set()


def test_the_next_render_starts_while_the_picture_is_stored(three: list[RenderJob], gate: threading.Event) -> None:
    renderer = FlatRenderer()
    with Finisher() as finisher:
        assert rendering.run_next(renderer, "worker-1", finisher.later)
        assert not Asset.objects.exists()  # still being stored
        seen: list[int] = []
        second = FlatRenderer(lambda index: seen.append(index))
        opener = threading.Timer(0.2, gate.set)
        opener.start()
        assert rendering.run_next(second, "worker-1", finisher.later)
        assert len(seen) == 8
        assert rendering.run_next(renderer, "worker-1", finisher.later)
    assert Asset.objects.count() == 3
    assert Worker.objects.get().pictures == 3 and Worker.objects.get().state == Worker.State.IDLE


def test_the_lease_is_kept_while_the_picture_is_stored(three: list[RenderJob], gate: threading.Event) -> None:
    with Finisher() as finisher:
        rendering.run_next(FlatRenderer(), "worker-1", finisher.later)
        almost = timezone.now() + timedelta(seconds=1)
        RenderJob.objects.filter(status=JobStatus.RUNNING).update(lease_until=almost)
        rendering.renew_held()
        assert RenderJob.objects.get(status=JobStatus.RUNNING).lease_until > almost  # type: ignore[operator]  # running
        gate.set()
    assert Asset.objects.count() == 1 and rendering._held == set()


def test_a_picture_that_cannot_be_stored_fails_and_the_next_goes_on(
    three: list[RenderJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    store = delivery.store

    def once(*args: Any) -> delivery.Picture:
        calls.append(1)
        if len(calls) == 1:
            raise StudioError("The storage is full.")
        return store(*args)

    monkeypatch.setattr(delivery, "store", once)
    with Finisher() as finisher:
        while rendering.run_next(FlatRenderer(), "worker-1", finisher.later):
            pass
    assert sorted(RenderJob.objects.values_list("status", flat=True)) == ["done", "done", "failed"]


def test_a_bug_while_storing_is_raised_and_loses_nobody_elses_picture(
    three: list[RenderJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, calls = delivery.store, []

    def once(*args: Any) -> delivery.Picture:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError("oops")
        return store(*args)

    monkeypatch.setattr(delivery, "store", once)
    with pytest.raises(ZeroDivisionError), Finisher() as finisher:
        while rendering.run_next(FlatRenderer(), "worker-1", finisher.later):
            pass
    assert sorted(RenderJob.objects.values_list("status", flat=True)) == ["done", "failed", "queued"]


def test_the_database_is_away_while_storing(three: list[RenderJob], monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any) -> bool:
        raise OperationalError("away")

    with monkeypatch.context() as broken, pytest.raises(OperationalError), Finisher() as finisher:
        broken.setattr(delivery, "finish", away)
        rendering.run_next(FlatRenderer(), "worker-1", finisher.later)
    assert RenderJob.objects.filter(status=JobStatus.RUNNING).count() == 1  # its lease runs out
    assert rendering._held == set()


def test_its_thread_leaves_no_connection(three: list[RenderJob]) -> None:
    before = threading.active_count()
    with Finisher() as finisher:
        rendering.run_next(FlatRenderer(), "worker-1", finisher.later)
    assert threading.active_count() == before
    connection.close()
