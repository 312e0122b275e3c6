from __future__ import annotations

import errno
from datetime import timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest
from django.conf import settings
from django.core.files.storage import storages
from django.utils import timezone
from PIL import Image

from studio import storage
from studio.domain.errors import RenderError
from studio.domain.states import JobStatus
from studio.models import Activity, Asset, RenderJob, Worker
from studio.services import delivery, dispatch, guides, quotas, rendering, renders, upkeep
from tests.conftest import Cast
from tests.factories import ad_format, balance, job, ledger, settled, worker
from tests.services.fake import FlatRenderer


def fresh(row: RenderJob) -> RenderJob:
    return RenderJob.objects.select_related("batch", "campaign").get(pk=row.pk)


def claimed(row: RenderJob) -> RenderJob:
    found = dispatch.claim_next("worker-1")
    assert found is not None and found.pk == row.pk
    return found


def test_a_claim_takes_a_lease(cast: Cast, events: list[Any], django_capture_on_commit_callbacks: Any) -> None:
    mine, waiting = job(cast.campaign), job(cast.other_campaign)
    before = timezone.now()
    with django_capture_on_commit_callbacks(execute=True):
        found = claimed(mine)
    assert (found.status, found.worker, found.attempts, found.step) == ("running", "worker-1", 1, 0)
    assert found.lease_token and found.started_at and found.lease_until
    assert found.lease_until >= before + timedelta(seconds=settings.LEASE_SECONDS)
    # Whoever waits has moved up, whichever team's turn it was.
    assert [(topic, e["type"]) for topic, e in events] == [
        (f"campaign.{cast.campaign.pk}", "job.changed"), (f"campaign.{cast.other_campaign.pk}", "queue.moved"),
        ("workers", "queue.moved")]
    second = dispatch.claim_next("worker-2")
    assert second is not None and second.pk == waiting.pk and dispatch.claim_next("worker-2") is None


def test_nothing_queued_is_nothing_to_do(cast: Cast) -> None:
    job(cast.campaign, status=JobStatus.CANCELLED)
    assert rendering.run_next(FlatRenderer(), "worker-1") is False


def test_teams_take_turns_and_age_decides_within_a_team(cast: Cast) -> None:
    mine = [job(cast.campaign) for _ in range(3)]
    theirs = [job(cast.other_campaign) for _ in range(2)]
    told = [pk for pk, _turn in sorted(dispatch.turns().items(), key=lambda item: item[1].place)]
    order = []
    while taken := dispatch.claim_next("worker-1"):
        order.append(taken.pk)
    assert order == told == [row.pk for row in (mine[0], theirs[0], mine[1], theirs[1], mine[2])]


def test_a_picture_is_rendered_stored_recorded_and_charged(
    cast: Cast, events: list[Any], django_capture_on_commit_callbacks: Any,
) -> None:
    worker()
    mine = job(cast.campaign, ad_format=ad_format(), width=90, height=64,
               render_width=96, render_height=64, seed=44)
    renderer = FlatRenderer()
    with django_capture_on_commit_callbacks(execute=True):
        assert rendering.run_next(renderer, "worker-1") is True
    found = fresh(mine)
    assert (found.status, found.step, found.lease_token) == ("done", 8, None) and found.finished_at
    assert renderer.specs[0].prompt == "a red rose" and renderer.specs[0].seed == 44
    made = Asset.objects.get(job=mine)
    assert (made.status, made.picked, made.author, made.alt) == ("draft", False, cast.marketer, "a red rose")
    with storage.open_file(made.file_key) as file:
        data = file.read()
    assert sha256(data).hexdigest() == made.sha256 and len(data) == made.size_bytes
    with Image.open(BytesIO(data)) as picture:
        assert (picture.format, picture.size) == ("PNG", (90, 64)) == ("PNG", (made.width, made.height))
    with storage.open_file(made.thumb_key) as file, Image.open(file) as thumb:
        assert thumb.format == "WEBP"
    recipe = made.recipe
    assert {name: recipe[name] for name in ("seed", "worker", "attempt", "model", "checksum", "render_width")} == {
        "seed": 44, "worker": "worker-1", "attempt": 1, "model": "Flat", "checksum": "ab" * 32, "render_width": 96}
    assert recipe["timings"].keys() == {"queue", "text", "steps", "decode", "encode", "store"}
    assert settled(mine) and balance(cast.team) == (0, 1) and quotas.mismatches() == []
    kinds = [(e["type"], e.get("status"), e.get("step")) for _topic, e in events if e["type"].startswith("job")]
    # Steps are told at once; states only after their commit, which here is the end of the block.
    assert kinds == [("job.step", "running", n) for n in range(1, 9)] + [
        ("job.changed", "running", 0), ("job.changed", "done", 0)]
    assert events[0][1]["preview"].startswith("data:image/webp;base64,") and events[0][1]["steps"] == 8


def test_a_worker_knows_what_it_does_and_its_mean(cast: Cast) -> None:
    me = worker(mean_ms=1_000_000.0, pictures=3)
    mine = job(cast.campaign)

    def look(index: int) -> None:
        me.refresh_from_db()
        assert (me.state, me.job_id) == ("busy", mine.pk)

    rendering.run_next(FlatRenderer(look), "worker-1")
    me.refresh_from_db()
    assert (me.state, me.job_id, me.pictures) == ("idle", None, 4)
    assert 800_000 <= me.mean_ms < 810_000  # a fifth of the way to the newest
    assert me.step_ms == 2.0 and 0 <= me.rest_ms < 10_000


def _fails(error: Exception) -> FlatRenderer:
    def at_step(index: int) -> None:
        if index == 3:
            raise error

    return FlatRenderer(at_step)


def test_a_known_failure_costs_nothing_and_says_why(cast: Cast) -> None:
    me = worker(mean_ms=500.0)
    mine = job(cast.campaign)
    error = RenderError("There is not enough memory for %(width)d px.", hint="Choose a smaller format.",
                        width=64, cause=ValueError("x"))
    assert rendering.run_next(_fails(error), "worker-1") is True
    found = fresh(mine)
    assert (found.status, found.step) == ("failed", 2)
    assert found.error == {"code": "render_failed", "message": "There is not enough memory for %(width)d px.",
                           "hint": "Choose a smaller format.", "params": {"width": 64, "cause": "x"}}
    assert ledger(mine) == ["reserve", "release"] and not Asset.objects.exists()
    assert Activity.objects.get().verb == "render.failed"
    me.refresh_from_db()
    assert (me.state, me.pictures, me.mean_ms) == ("idle", 0, 500.0)  # only delivered pictures count


def test_a_bug_is_recorded_and_raised(cast: Cast) -> None:
    me = worker()
    mine = job(cast.campaign)
    with pytest.raises(ZeroDivisionError):
        rendering.run_next(_fails(ZeroDivisionError("oops")), "worker-1")
    found = fresh(mine)
    assert found.status == "failed" and found.error
    assert found.error["code"] == "unexpected" and "oops" not in str(found.error)
    assert ledger(mine) == ["reserve", "release"]
    me.refresh_from_db()
    assert (me.state, me.pictures) == ("idle", 0)


@pytest.mark.parametrize("at", [1, 8])
def test_a_cancelled_render_stops_at_its_next_step(cast: Cast, at: int) -> None:
    mine = job(cast.campaign)
    seen = []

    def cancel(index: int) -> None:
        seen.append(index)
        if index == at:
            renders.cancel(user=cast.marketer, jobs=[fresh(mine)])

    assert rendering.run_next(FlatRenderer(cancel), "worker-1") is True
    assert seen[-1] == at and fresh(mine).status == "cancelled"
    assert ledger(mine) == ["reserve", "release"] and not Asset.objects.exists()


def test_a_render_that_is_cancelled_while_it_is_stored_delivers_nothing(
    cast: Cast, monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine = job(cast.campaign)
    put = storage.put

    def cancel_then_put(key: str, data: bytes, content_type: str) -> str:
        renders.cancel(user=cast.marketer, jobs=[fresh(mine)])
        return put(key, data, content_type)

    monkeypatch.setattr(storage, "put", cancel_then_put)
    rendering.run_next(FlatRenderer(), "worker-1")
    assert fresh(mine).status == "cancelled" and not Asset.objects.exists()
    assert ledger(mine) == ["reserve", "release"] and balance(cast.team) == (0, 0)


def test_an_old_worker_finishing_late_changes_nothing(cast: Cast) -> None:
    mine = job(cast.campaign)
    old = claimed(mine)
    RenderJob.objects.filter(pk=mine.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert upkeep.take_back() == 1
    new = claimed(mine)
    rendering.run_job(old, FlatRenderer())  # its first step finds the lease gone
    assert fresh(mine).lease_token == new.lease_token and not Asset.objects.exists()
    assert delivery.fail(old, {"code": "x", "message": "x", "params": {}}) is False
    assert ledger(mine) == ["reserve"]
    rendering.run_job(new, FlatRenderer())
    assert Asset.objects.get().recipe["attempt"] == 2 and settled(mine)


def test_finishing_twice_charges_once(cast: Cast) -> None:
    mine = job(cast.campaign)
    taken = claimed(mine)
    prepared = guides.prepare(taken)
    picture = delivery.store(taken, prepared, FlatRenderer().render(prepared.spec, lambda step: None), {})
    assert [delivery.finish(taken, picture) for _ in range(2)] == [True, False]
    assert settled(mine) and Asset.objects.count() == 1


@pytest.mark.parametrize(("error", "code"), [
    (OSError(errno.ENOSPC, "full"), "storage_full"), (OSError(errno.EIO, "broken"), "storage_failed"),
])
def test_a_picture_that_cannot_be_stored_is_a_failed_job_without_a_charge(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, error: OSError, code: str,
) -> None:
    def broken(*args: object) -> None:
        raise error

    mine = job(cast.campaign)
    monkeypatch.setattr(storages["default"], "_save", broken)
    rendering.run_next(FlatRenderer(), "worker-1")
    found = fresh(mine)
    assert found.status == "failed" and found.error and found.error["code"] == code
    assert ledger(mine) == ["reserve", "release"] and not Asset.objects.exists()


def test_the_file_is_there_before_the_row(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    job(cast.campaign)
    create = Asset.objects.create

    def look(**fields: Any) -> Asset:
        for key in (fields["file_key"], fields["thumb_key"]):
            storage.open_file(key).close()
        return create(**fields)

    monkeypatch.setattr(Asset.objects, "create", look)
    rendering.run_next(FlatRenderer(), "worker-1")
    assert Asset.objects.count() == 1


def test_every_step_renews_the_lease(cast: Cast) -> None:
    mine = job(cast.campaign)
    ends = []

    def look(index: int) -> None:
        found = fresh(mine)
        assert found.step == index - 1
        assert found.lease_until is not None
        ends.append(found.lease_until)

    rendering.run_next(FlatRenderer(look), "worker-1")
    assert ends == sorted(ends) and ends[0] < ends[-1]


def test_the_heartbeat_keeps_the_job_this_process_renders(cast: Cast) -> None:
    mine, soon = job(cast.campaign), timezone.now() + timedelta(seconds=1)

    def look(index: int) -> None:
        RenderJob.objects.filter(pk=mine.pk).update(lease_until=soon)
        rendering.renew_held()
        kept = fresh(mine).lease_until
        assert kept and kept > soon

    rendering.run_next(FlatRenderer(look), "worker-1")
    assert fresh(mine).status == "done"


def test_the_heartbeat_of_a_new_process_does_not_keep_its_predecessors_job(cast: Cast) -> None:
    soon = timezone.now() + timedelta(seconds=1)
    left = job(cast.campaign, status=JobStatus.RUNNING, lease_until=soon, worker="worker-1")
    rendering.renew_held()
    assert fresh(left).lease_until == soon


def test_a_worker_nobody_announced_still_renders(cast: Cast) -> None:
    mine = job(cast.campaign)
    rendering.run_next(FlatRenderer(), "unannounced")
    assert fresh(mine).status == "done" and not Worker.objects.exists()
