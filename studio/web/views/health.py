"""Health for machines."""

from __future__ import annotations

from django.db import Error
from django.http import HttpRequest, JsonResponse

from studio import queue
from studio.models import Worker


def healthz(request: HttpRequest) -> JsonResponse:
    """The web process answers."""
    return JsonResponse({"ok": True})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 when the database and the broker answer and a worker has its model loaded; else 503 with what is not."""
    try:
        worker, database = Worker.objects.ready().exists(), True
    except Error:
        worker, database = False, False
    checks = {"database": database, "broker": queue.answers(), "worker": worker}
    return JsonResponse({"ok": all(checks.values()), **checks}, status=200 if all(checks.values()) else 503)
