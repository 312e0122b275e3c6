"""The database goes away in the middle of a render: the job is neither lost nor failed, and charged once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.utils import timezone

from studio import storage
from studio.models import Asset, RenderJob
from studio.services import delivery, rendering, upkeep, workers
from tests.conftest import Cast
from tests.factories import balance, job, ledger, worker
from tests.services.fake import FlatRenderer


def away(*args: object, **kwargs: object) -> None:
    raise OperationalError("the connection is lost")


def at_step(index: int, error: Exception) -> Callable[[int], None]:
    def step(now: int) -> None:
        if now == index:
            raise error

    return step


def taken_up_again(mine: RenderJob) -> None:
    """The lease runs out, upkeep gives the job to the next, which finishes it."""
    mine.refresh_from_db()
    assert mine.status == "running" and ledger(mine) == ["reserve"]
    rendering.renew_held()  # the heartbeat goes on, and must not keep the lease of a render that has ended
    RenderJob.objects.filter(pk=mine.pk, lease_until=mine.lease_until).update(lease_until=timezone.now())
    assert upkeep.take_back() == 1
    assert rendering.run_next(FlatRenderer(), "worker-1") is True
    assert ledger(mine) == ["reserve", "settle"] and Asset.objects.get().job_id == mine.pk


@pytest.mark.parametrize("error", [OperationalError("away"), InterfaceError("the connection is closed")])
def test_in_the_middle_of_a_render(cast: Cast, error: Exception) -> None:
    worker()
    mine = job(cast.campaign)
    with pytest.raises(type(error)):
        rendering.run_next(FlatRenderer(at_step(3, error)), "worker-1")
    taken_up_again(mine)
    assert balance(cast.team) == (0, 1)


@pytest.mark.parametrize(("module", "name"), [(workers, "busy"), (delivery, "finish"), (workers, "idle")])
def test_at_its_ends(cast: Cast, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    worker()
    mine = job(cast.campaign)
    with monkeypatch.context() as broken, pytest.raises(OperationalError):
        broken.setattr(module, name, away)
        rendering.run_next(FlatRenderer(), "worker-1")
    if name == "idle":  # all was done before
        assert ledger(mine) == ["reserve", "settle"]
    else:
        taken_up_again(mine)
    assert balance(cast.team) == (0, 1)


@pytest.mark.parametrize(("error", "puts", "status"), [
    (storage.StorageError(), 3, "done"), (storage.StorageFull(), 1, "failed"),
    (storage.StorageMisconfigured(), 1, "failed"),
])
def test_a_store_that_is_away_for_a_moment_costs_no_picture(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, error: Exception, puts: int, status: str,
) -> None:
    worker()
    mine, tried, put = job(cast.campaign), 0, storage.put

    def away_twice(key: str, data: bytes, content_type: str) -> str:
        nonlocal tried
        tried += 1
        if tried < 3:
            raise error
        tried = 3
        return put(key, data, content_type)

    monkeypatch.setattr(delivery, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(storage, "put", away_twice)
    rendering.run_next(FlatRenderer(), "worker-1")
    mine.refresh_from_db()
    assert (tried, mine.status) == (puts, status) and mine.attempts == 1
    assert ledger(mine) == ["reserve", "settle" if status == "done" else "release"]
