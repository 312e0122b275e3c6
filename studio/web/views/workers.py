"""The workers page, for admins: who renders what, drain and resume, and workers set apart for teams or classes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, resolve_url
from django.utils.text import slugify
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from studio import permissions
from studio.domain.errors import Conflict, Forbidden, StudioError
from studio.domain.priority import PRIORITY_LABELS
from studio.models import Pool, Team, Worker
from studio.services import fleet
from studio.web.fleet import Draft
from studio.web.fleet import fleet as shown_fleet
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.texts import error_hint, error_text
from studio.web.views.admin import administered, administered_team


def _read(data: QueryDict, pk: int) -> Draft:
    return Draft(pk, data.get("name", ""), data.get("priority", ""), _ids(data, "team"), _ids(data, "was"), True)


def _class(draft: Draft) -> int | None:
    """The class as the service knows it; -1 for nonsense, which it refuses."""
    if not draft.priority:
        return None
    return int(draft.priority) if draft.priority.isdecimal() and len(draft.priority) < 4 else -1


def _ids(data: QueryDict, name: str) -> frozenset[int]:
    return frozenset(int(text) for text in data.getlist(name) if text.isdecimal() and len(text) < 18)


def _teams(ids: Iterable[int]) -> QuerySet[Team]:
    return Team.objects.filter(pk__in=list(ids))


@require_safe
@signed_in
def listing(request: StudioRequest) -> HttpResponse:
    """Every worker and every pool; the part that changes alone when a script asks."""
    return _page(request)


@require_POST
@signed_in
def drain(request: StudioRequest, name: str) -> HttpResponse:
    """Give it nothing new."""
    worker = _known(request, name)
    fleet.drain(user=request.user, worker=worker)
    say(request, gettext("“%(worker)s” gets no new renders; what it renders is finished.") % {"worker": name},
        undo=resolve_url("resume-worker", name))
    return _back(worker)


@require_POST
@signed_in
def resume(request: StudioRequest, name: str) -> HttpResponse:
    """Let it take renders again."""
    worker = _known(request, name)
    fleet.resume(user=request.user, worker=worker)
    say(request, gettext("“%(worker)s” takes renders again.") % {"worker": name})
    return _back(worker)


@require_POST
@signed_in
def move(request: StudioRequest, name: str) -> HttpResponse:
    """Put it into the pool `pool`, or without one back to what everybody shares."""
    worker = _known(request, name)
    wanted = request.POST.get("pool", "")
    pool = _pool(int(wanted)) if wanted.isdecimal() and len(wanted) < 18 else None
    if wanted and pool is None:
        raise Http404
    fleet.move(user=request.user, worker=worker, pool=pool)
    if pool is None:
        say(request, gettext("“%(worker)s” renders for everybody.") % {"worker": name})
    else:
        say(request, gettext("“%(worker)s” renders for the pool “%(pool)s” alone.") % {
            "worker": name, "pool": pool.name})
    return _back(worker)


@require_POST
@signed_in
def forget(request: StudioRequest, name: str) -> HttpResponse:
    """Take a gone one off the list."""
    try:
        fleet.forget(user=request.user, worker=_known(request, name))
    except Conflict as error:
        return _page(request, refused=error)
    say(request, gettext("“%(worker)s” is off the list. It comes back when it starts again.") % {"worker": name})
    return HttpResponseRedirect(resolve_url("admin-workers"))


@require_POST
@signed_in
def add_pool(request: StudioRequest) -> HttpResponse:
    """Set up a pool."""
    administered(request)
    form = _read(request.POST, 0)
    try:
        pool = fleet.add_pool(
            user=request.user, name=form.name, priority=_class(form), teams=_teams(form.teams))
    except Forbidden:
        raise
    except StudioError as error:
        return _page(request, refused=error, form=form)
    say(request, gettext("The pool “%(pool)s” is set up. Move workers into it next.") % {"pool": pool.name})
    return HttpResponseRedirect(f"{resolve_url('admin-workers')}#pools")


@require_POST
@signed_in
def change_pool(request: StudioRequest, pk: int) -> HttpResponse:
    """Its name, its class, and which teams were ticked or unticked since the form was written."""
    administered(request)
    pool, form = _pool(pk), _read(request.POST, pk)
    try:
        fleet.change_pool(
            user=request.user, pool=pool, name=form.name, priority=_class(form),
            bind=_teams(form.teams - form.was), free=_teams(form.was - form.teams))
    except Forbidden:
        raise
    except StudioError as error:
        return _page(request, refused=error, form=form)
    say(request, gettext("The pool “%(pool)s” is changed.") % {"pool": form.name.strip()})
    return HttpResponseRedirect(f"{resolve_url('admin-workers')}#pools")


@require_POST
@signed_in
def remove_pool(request: StudioRequest, pk: int) -> HttpResponse:
    """Remove it; one in use after a second press, which says what that means."""
    administered(request)
    pool = _pool(pk)
    try:
        fleet.remove_pool(user=request.user, pool=pool, even_in_use=request.POST.get("confirm") == "on")
    except Conflict as error:
        return _page(request, refused=error, doomed=pool)
    say(request, gettext("The pool “%(pool)s” is removed.") % {"pool": pool.name})
    return HttpResponseRedirect(f"{resolve_url('admin-workers')}#pools")


def _known(request: StudioRequest, name: str) -> Worker:
    """Forbidden for who sees no workers, a 404 for one that is not there."""
    administered(request)
    if "\x00" in name:
        raise Http404
    return get_object_or_404(Worker, pk=name)


def _pool(pk: int) -> Pool:
    return get_object_or_404(Pool, pk=pk)


def _back(worker: Worker) -> HttpResponse:
    return HttpResponseRedirect(f"{resolve_url('admin-workers')}#worker-{slugify(worker.name)}")


def _page(
    request: StudioRequest, *, refused: StudioError | None = None, form: Draft | None = None,
    doomed: Pool | None = None,
) -> HttpResponse:
    context: dict[str, Any] = {
        "nav": "admin", "tab": "workers", "teams": administered(request), "team": administered_team(request),
        "may": permissions.decide_for_all(request.user, "worker.manage"), "doomed": doomed,
        "classes": [(str(value.value), gettext(label)) for value, label in PRIORITY_LABELS.items()],
        "refused": (error_text(refused), error_hint(refused)) if refused else None, **shown_fleet(request.user, form)}
    return page(request, "studio/admin_workers.html", context, partial="studio/_fleet.html",
                status=refused.status if refused else 200)
