"""What admins do with the workers: drain, resume, move, forget, and pools."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from studio.domain.errors import Conflict, Forbidden, Invalid
from studio.domain.priority import Priority
from studio.domain.roles import Role
from studio.models import Activity, Membership, Pool, RenderJob, Team, Worker
from studio.services import dispatch, fleet, rendering, renders, upkeep, workers
from tests.conftest import Cast
from tests.factories import job, pool, worker
from tests.services.fake import FlatRenderer

pytestmark = pytest.mark.django_db(transaction=True)
GONE = timedelta(minutes=2)


def lines(team: Team) -> list[str]:
    """The verbs of the team's activity list, oldest first."""
    return list(Activity.objects.filter(team=team).order_by("pk").values_list("verb", flat=True))


def told(events: list[tuple[str, Any]]) -> list[str]:
    """Types of the events that the workers page got."""
    return [event["type"] for topic, event in events if topic == "workers"]


def test_a_drained_worker_finishes_and_takes_nothing_until_it_is_resumed(
    cast: Cast, wakes: list[int], events: list[tuple[str, Any]],
) -> None:
    gpu, mine = worker(), job(cast.campaign)
    assert fleet.drain(user=cast.superuser, worker=gpu)
    assert not fleet.drain(user=cast.superuser, worker=gpu)  # a second press says nothing twice
    assert wakes == [] and told(events) == ["worker.changed", "queue.moved"]
    assert not rendering.run_next(FlatRenderer(), gpu.name)
    workers.starting(gpu.name)
    workers.ready(gpu.name, device="cpu", model_name="Test")
    assert not rendering.run_next(FlatRenderer(), gpu.name)  # a restart does not end it
    events.clear()
    assert fleet.resume(user=cast.superuser, worker=gpu)
    assert not fleet.resume(user=cast.superuser, worker=gpu)
    assert wakes == [1] and "worker.changed" in told(events)
    assert rendering.run_next(FlatRenderer(), gpu.name)
    mine.refresh_from_db()
    assert mine.status == "done"
    for team in (cast.team, cast.other_team):  # all of them share it
        assert [verb for verb in lines(team) if verb.startswith("worker")] == ["worker.drained", "worker.resumed"]


def test_what_a_worker_renders_when_it_is_drained_is_finished(cast: Cast) -> None:
    gpu = worker()
    job(cast.campaign)
    claimed = dispatch.claim_next(gpu.name)
    assert claimed
    fleet.drain(user=cast.superuser, worker=gpu)
    rendering.run_job(claimed, FlatRenderer())
    claimed.refresh_from_db()
    assert claimed.status == "done"


def test_only_an_admin_of_every_team_may(cast: Cast) -> None:
    gpu, fast = worker(), pool()
    verbs: list[Any] = [
        lambda user: fleet.drain(user=user, worker=gpu), lambda user: fleet.resume(user=user, worker=gpu),
        lambda user: fleet.move(user=user, worker=gpu, pool=fast),
        lambda user: fleet.forget(user=user, worker=worker("old", state="stopped")),
        lambda user: fleet.change_pool(user=user, pool=fast, name="x", priority=None),
        lambda user: fleet.remove_pool(user=user, pool=fast, even_in_use=True),
        lambda user: fleet.add_pool(user=user, name="new")]
    for verb in verbs:
        for role in ("viewer", "marketer", "reviewer", "admin", "stranger"):
            with pytest.raises(Forbidden):
                verb(cast.person(role))
            Worker.objects.filter(name="old").delete()
    Membership.objects.create(team=cast.other_team, user=cast.admin, role=Role.ADMIN)
    for verb in verbs:
        verb(cast.person("admin"))
    assert [p.name for p in Pool.objects.all()] == ["new"]


def test_a_worker_is_forgotten_when_it_is_gone_and_listed_anew_when_it_reports(cast: Cast) -> None:
    gone, lives = worker("gone", seen_at=timezone.now() - GONE, draining=True, pool=pool()), worker("lives")
    with pytest.raises(Conflict, match="lives"):
        fleet.forget(user=cast.superuser, worker=lives)
    fleet.forget(user=cast.superuser, worker=gone)
    fleet.forget(user=cast.superuser, worker=Worker(name="gone"))  # the second press
    assert list(Worker.objects.all()) == [lives]
    assert lines(cast.team) == ["worker.forgotten"]
    assert not workers.seen("gone")  # it was only silent
    back = Worker.objects.get(name="gone")
    assert (back.state, back.draining, back.pool) == ("idle", False, None)
    assert workers.seen("gone") and back in Worker.objects.free()


def test_a_moved_worker_renders_for_its_pool_alone(cast: Cast, wakes: list[int]) -> None:
    gpu, fast = worker(), pool(priority=Priority.URGENT)
    urgent, normal = job(cast.campaign, priority=Priority.URGENT), job(cast.campaign)
    assert fleet.move(user=cast.superuser, worker=gpu, pool=fast)
    assert not fleet.move(user=cast.superuser, worker=gpu, pool=fast)
    assert wakes == [1]
    assert rendering.run_next(FlatRenderer(), gpu.name) and not rendering.run_next(FlatRenderer(), gpu.name)
    assert fleet.move(user=cast.superuser, worker=gpu, pool=None)
    assert rendering.run_next(FlatRenderer(), gpu.name)
    for one in (urgent, normal):
        one.refresh_from_db()
        assert one.status == "done"
    moves = Activity.objects.filter(team=cast.team, verb__startswith="worker").order_by("pk")
    assert [(line.verb, line.data) for line in moves] == [
        ("worker.moved", {"worker": gpu.name, "pool": "fast"}), ("worker.freed", {"worker": gpu.name, "pool": "fast"})]


def test_a_pool_binds_teams_and_a_class(cast: Cast, wakes: list[int], events: list[tuple[str, Any]]) -> None:
    mine, other = job(cast.campaign), job(cast.other_campaign)
    fast = fleet.add_pool(user=cast.superuser, name=" Fast ", teams=[cast.team])
    assert wakes == [1] and "pools.changed" in told(events)
    cast.team.refresh_from_db()
    assert fast.name == "Fast" and cast.team.pool == fast
    assert lines(cast.team)[-2:] == ["pool.added", "pool.team_bound"] and lines(cast.other_team) == ["pool.added"]
    worker("shared"), worker("apart", pool=fast)
    taken = dispatch.claim_next("shared"), dispatch.claim_next("shared"), dispatch.claim_next("apart")
    assert [found and found.pk for found in taken] == [other.pk, None, mine.pk]
    fleet.change_pool(
        user=cast.superuser, pool=fast, name="Quick", priority=Priority.BATCH, bind=[cast.other_team], free=[cast.team])
    fast.refresh_from_db()
    assert (fast.name, fast.priority, list(fast.teams.all())) == ("Quick", Priority.BATCH, [cast.other_team])
    assert lines(cast.team)[-3:] == ["pool.renamed", "pool.class_bound", "pool.team_freed"]
    fleet.change_pool(user=cast.superuser, pool=fast, name="Quick", priority=None)
    assert lines(cast.team)[-1] == "pool.class_freed" and list(fast.teams.all()) == [cast.other_team]


def test_a_team_leaves_its_pool_for_another_and_is_not_freed_by_an_old_form(cast: Cast) -> None:
    first, second = pool("one"), pool("two")
    fleet.change_pool(user=cast.superuser, pool=first, name="one", priority=None, bind=[cast.team])
    fleet.change_pool(user=cast.superuser, pool=second, name="two", priority=None, bind=[cast.team])
    fleet.change_pool(user=cast.superuser, pool=first, name="one", priority=None, free=[cast.team])
    cast.team.refresh_from_db()
    assert cast.team.pool == second


@pytest.mark.parametrize("name", ["", "  ", "x" * 41, "a\x00b", "a\nb", "FAST"])
def test_a_name_that_can_not_be_used_is_refused(cast: Cast, name: str) -> None:
    pool("fast")
    second = pool("second")
    with pytest.raises(Invalid):
        fleet.add_pool(user=cast.superuser, name=name)
    with pytest.raises(Invalid):
        fleet.change_pool(user=cast.superuser, pool=second, name=name, priority=None)


def test_a_class_belongs_to_one_pool_and_must_be_known(cast: Cast) -> None:
    owner, other = pool("owner", priority=Priority.NORMAL), pool("other")
    fleet.change_pool(user=cast.superuser, pool=owner, name="owner", priority=Priority.NORMAL)
    for priority, error in ((Priority.NORMAL, Conflict), (7, Invalid), (-1, Invalid)):
        with pytest.raises(error):
            fleet.add_pool(user=cast.superuser, name="new", priority=priority)
        with pytest.raises(error):
            fleet.change_pool(user=cast.superuser, pool=other, name="other", priority=priority)
    assert Activity.objects.count() == 0


def test_a_pool_in_use_is_removed_only_on_purpose(cast: Cast, wakes: list[int]) -> None:
    fast = pool(priority=Priority.BATCH)
    gpu = worker(pool=fast)
    Team.objects.filter(pk=cast.team.pk).update(pool=fast)
    job(cast.campaign)
    with pytest.raises(Conflict, match="in use"):
        fleet.remove_pool(user=cast.superuser, pool=fast)
    fleet.remove_pool(user=cast.superuser, pool=fast, even_in_use=True)
    gpu.refresh_from_db()
    cast.team.refresh_from_db()
    assert gpu.pool is None and cast.team.pool is None and wakes == [1]
    assert lines(cast.team)[-2:] == ["pool.team_freed", "pool.removed"]
    for late in (lambda: fleet.remove_pool(user=cast.superuser, pool=fast),
                 lambda: fleet.move(user=cast.superuser, worker=gpu, pool=fast),
                 lambda: fleet.change_pool(user=cast.superuser, pool=fast, name="x", priority=None)):
        fast.pk = fast.pk or 99
        with pytest.raises(Conflict):
            late()
    fleet.remove_pool(user=cast.superuser, pool=pool("empty"))
    assert not Pool.objects.exists()


def test_a_wake_up_is_not_lost_on_a_drained_worker(cast: Cast, wakes: list[int]) -> None:
    """Any worker may take the hint from the broker: then each gets one."""
    worker("one"), worker("two", draining=True)
    renders.wake(1)
    assert wakes == [2]
    RenderJob.objects.filter(pk=job(cast.campaign).pk).update(created_at=timezone.now() - GONE)
    upkeep.wake_stale()
    assert wakes == [2, 2]
    Worker.objects.update(draining=True)
    upkeep.wake_stale()
    assert wakes == [2, 2]  # nobody would take it


def test_workers_tell_their_page_what_they_do(cast: Cast, events: list[tuple[str, Any]]) -> None:
    workers.starting("gpu")
    workers.ready("gpu", device="cpu", model_name="Test")
    job(cast.campaign)
    assert rendering.run_next(FlatRenderer(), "gpu")
    workers.seen("gpu")
    workers.loading("gpu")
    workers.stopped("gpu")
    heard = [event for topic, event in events if topic == "workers" and event["type"] != "queue.moved"]
    kinds = [event["type"].removeprefix("worker.") for event in heard]
    # Eight steps of a quick render are one.
    assert kinds == ["changed", "changed", "changed", "step", "changed", "seen", "changed", "changed"]
    assert all(event["worker"] == "gpu" and not {"job", "batch", "preview"} & event.keys() for event in heard)
    assert (heard[3]["step"], heard[3]["steps"]) == (1, 8)
