"""What admins do with the workers: drain, resume, move, forget them, and set them apart in pools.

All teams share the workers, so only an admin of every team may. A line about a worker or a pool stands in every team's
activity list; that a team was bound to a pool, in its own alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from studio import notify, permissions
from studio.domain.errors import Conflict, Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.priority import Priority
from studio.models import Pool, RenderJob, Team, User, Worker
from studio.services import activity, dispatch, renders

VERB = "worker.manage"
_GONE = _("This pool is not there any more.")


def drain(*, user: User, worker: Worker) -> bool:
    """Give the worker no new renders; what it renders is finished. Lasts until `resume`. False: it is drained already.

    A render that it takes at this very moment counts as one that it has.
    """
    return _turn(user, worker, draining=True)


def resume(*, user: User, worker: Worker) -> bool:
    """Let the worker take renders again. False: it is not being drained."""
    return _turn(user, worker, draining=False)


def _turn(user: User, worker: Worker, *, draining: bool) -> bool:
    permissions.require_for_all(user, VERB)
    with transaction.atomic(durable=True):
        if not Worker.objects.filter(pk=worker.pk, draining=not draining).update(draining=draining):
            return False
        _tell("worker.drained" if draining else "worker.resumed", user, worker=worker.pk)
        notify.worker_changed(worker.pk)
        _look_again(wake=not draining)
    return True


def forget(*, user: User, worker: Worker) -> None:
    """Take a worker that is stopped or gone off the list. One that starts again is listed anew, without pool or drain.

    Raises Conflict while it lives.
    """
    permissions.require_for_all(user, VERB)
    with transaction.atomic(durable=True):
        row = Worker.objects.select_for_update().filter(pk=worker.pk).first()
        if row is None:
            return
        # Under the lock: a worker that reports at this moment stays.
        if Worker.objects.live().filter(pk=row.pk).exists():
            raise Conflict(_("The worker “%(worker)s” lives: it can't be forgotten."),
                           hint=_("Stop its process first."), worker=worker.pk)
        row.delete()
        _tell("worker.forgotten", user, worker=worker.pk)
        notify.worker_changed(worker.pk)


def move(*, user: User, worker: Worker, pool: Pool | None) -> bool:
    """Set the worker apart in `pool`; None: it renders for everything that is bound to no pool. False: it is there."""
    permissions.require_for_all(user, VERB)
    with transaction.atomic(durable=True):
        if pool is not None:
            pool = _locked(pool)
        row = Worker.objects.select_for_update(of=("self",)).select_related("pool").filter(pk=worker.pk).first()
        if row is None or row.pool_id == (pool.pk if pool else None):
            return False
        Worker.objects.filter(pk=row.pk).update(pool=pool)
        if pool is not None:
            _tell("worker.moved", user, worker=row.pk, pool=pool.name)
        elif row.pool is not None:
            _tell("worker.freed", user, worker=row.pk, pool=row.pool.name)
        notify.worker_changed(row.pk)
        _look_again()
    return True


def add_pool(*, user: User, name: str, priority: int | None = None, teams: Iterable[Team] = ()) -> Pool:
    """Set up a pool, with what is bound to it from the start. Raises Invalid or Conflict."""
    permissions.require_for_all(user, VERB)
    name = _named(name, None)
    try:
        with transaction.atomic(durable=True):
            _require_free(priority, None)
            pool = Pool.objects.create(name=name, priority=priority)
            _tell("pool.added", user, pool=name)
            if priority is not None:
                _tell("pool.class_bound", user, pool=name, priority=priority)
            _bind(user, pool, teams)
            notify.pools_changed()
            _look_again()
    except IntegrityError as error:
        raise Conflict from error  # somebody took the name or the class at this moment
    return pool


def change_pool(
    *, user: User, pool: Pool, name: str, priority: int | None, bind: Iterable[Team] = (), free: Iterable[Team] = (),
) -> None:
    """Give the pool this name and class of renders, and bind or free teams; what others bound meanwhile stays.

    A team that is bound to another pool comes from there. Raises Invalid or Conflict.
    """
    permissions.require_for_all(user, VERB)
    name = _named(name, pool)
    try:
        with transaction.atomic(durable=True):
            before = _locked(pool)
            _require_free(priority, pool)
            Pool.objects.filter(pk=pool.pk).update(name=name, priority=priority)
            if name != before.name:
                _tell("pool.renamed", user, before=before.name, pool=name)
            if priority != before.priority:
                if before.priority is not None:
                    _tell("pool.class_freed", user, pool=name, priority=before.priority)
                if priority is not None:
                    _tell("pool.class_bound", user, pool=name, priority=priority)
            _bind(user, Pool(pk=pool.pk, name=name), bind)
            _free(user, Pool(pk=pool.pk, name=name), free)
            notify.pools_changed()
            _look_again()
    except IntegrityError as error:
        raise Conflict from error


def remove_pool(*, user: User, pool: Pool, even_in_use: bool = False) -> None:
    """Remove the pool; what was bound to it, and its workers, are shared again.

    Raises Conflict while it is in use, unless `even_in_use`.
    """
    permissions.require_for_all(user, VERB)
    with transaction.atomic(durable=True):
        pool = _locked(pool)
        teams, workers = list(pool.teams.order_by("pk")), pool.workers.count()
        if (teams or workers or pool.priority is not None) and not even_in_use:
            raise Conflict(
                _("The pool “%(pool)s” is in use (teams: %(teams)d, workers: %(workers)d)."),
                hint=_("Without it, what is bound to it renders on the shared workers, and its workers are shared. No "
                       "render is lost."),
                pool=pool.name, teams=len(teams), workers=workers)
        _free(user, pool, teams)
        _tell("pool.removed", user, pool=pool.name)
        pool.delete()
        notify.pools_changed()
        _look_again()


def _locked(pool: Pool) -> Pool:
    """The pool's row, as it is now. Raises Conflict when it was removed."""
    found = Pool.objects.select_for_update().filter(pk=pool.pk).first()
    if found is None:
        raise Conflict(_GONE)
    return found


def _named(name: str, own: Pool | None) -> str:
    """A name that a pool may have. Raises Invalid."""
    name = name.strip()
    if not name or len(name) > 40 or not name.isprintable():
        raise Invalid(_("A pool's name has 1 to 40 characters."), field="name")
    others = Pool.objects.exclude(pk=own.pk) if own else Pool.objects.all()
    if others.filter(name__iexact=name).exists():
        raise Invalid(_("There is a pool “%(name)s” already."), field="name", name=name)
    return name


def _require_free(priority: int | None, own: Pool | None) -> None:
    """Raises Invalid for an unknown class, and Conflict for one that another pool has."""
    if priority is None:
        return
    if priority not in [known.value for known in Priority]:
        raise Invalid(_("There is no such class of renders."), field="priority")
    owner = Pool.objects.filter(priority=priority).first()
    if owner is not None and owner != own:
        raise Conflict(_("This class of renders is bound to the pool “%(pool)s” already."),
                       hint=_("Take it from that pool first."), pool=owner.name)


def _bind(user: User, pool: Pool, teams: Iterable[Team]) -> None:
    for team in sorted(teams, key=lambda team: team.pk):
        if Team.objects.filter(Q(pool=None) | ~Q(pool=pool.pk), pk=team.pk).update(pool=pool.pk):
            activity.record(verb="pool.team_bound", team=team, actor=user, pool=pool.name)


def _free(user: User, pool: Pool, teams: Iterable[Team]) -> None:
    for team in sorted(teams, key=lambda team: team.pk):
        if Team.objects.filter(pk=team.pk, pool=pool.pk).update(pool=None):
            activity.record(verb="pool.team_freed", team=team, actor=user, pool=pool.name)


def _look_again(*, wake: bool = True) -> None:
    """After commit: places in the queue have changed, and with `wake` also who may take what waits."""
    notify.queue_moved(dispatch.waiting_campaigns())
    waiting = RenderJob.objects.waiting().count() if wake else 0
    if waiting:
        transaction.on_commit(lambda: renders.wake(waiting))


def _tell(verb: str, user: User, **data: Any) -> None:
    """A line in every team's activity list: all of them render with these workers."""
    for team in Team.objects.order_by("pk"):
        activity.record(verb=verb, team=team, actor=user, **data)
