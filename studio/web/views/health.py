"""Health and metrics, for machines."""

from __future__ import annotations

from django.conf import settings
from django.db import Error
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from studio import queue, storage
from studio.models import Worker
from studio.web import metrics as numbers
from studio.web.probes import Answer, Probe, answers

#: Seconds in which `/readyz` answers, whatever hangs.
READY_SECONDS = 2.5
#: Seconds for which the storage is not asked again: it may cost money, and everybody may ask.
STORAGE_SECONDS = 5.0


def healthz(request: HttpRequest) -> JsonResponse:
    """The web process answers."""
    return JsonResponse({"ok": True})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when database, broker and storage work and a worker has its model loaded; else 503 with what does not."""
    found = answers(probes, seconds=READY_SECONDS)
    ok = all(found.values())
    return JsonResponse({"ok": ok, **found}, status=200 if ok else 503)


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """What Prometheus scrapes. Who may not read it learns that a token is missing, or nothing."""
    if not numbers.may_read(request):
        if settings.METRICS_TOKEN:
            return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
        return HttpResponse(status=404)
    try:
        body, content_type = numbers.exposition(request.headers.get("Accept", ""))
    except Error:
        return HttpResponse("The database is away.", status=503, content_type="text/plain")
    return HttpResponse(body, content_type=content_type, headers={"Cache-Control": "no-store"})


def _database() -> Answer:
    """Also whether a worker is ready: only the database knows."""
    try:
        return {"database": True, "worker": Worker.objects.ready().exists()}
    except Error:
        return {"database": False, "worker": False}


def _broker() -> Answer:
    return {"broker": queue.answers()}


def _storage() -> Answer:
    try:
        storage.check()
    except storage.StorageError:
        return {"storage": False}
    return {"storage": True}


probes = (
    Probe(("database", "worker"), _database), Probe(("broker",), _broker),
    Probe(("storage",), _storage, keep=STORAGE_SECONDS))
