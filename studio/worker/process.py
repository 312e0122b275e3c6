"""The life of a render worker: load the model, warm up, report, render, stop.

One pipeline per process; this module holds it. Only a process that consumes the render queue
loads it, so the upkeep worker and the web never import torch.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import structlog
from celery import signals
from celery.worker import state as celery_state
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections, connection
from django.utils.module_loading import import_string

from studio import checkpoint, queue
from studio.domain.spec import Renderer
from studio.domain.states import JobStatus
from studio.models import RenderJob
from studio.services import rendering, upkeep, workers
from studio.worker.finisher import Finisher

log = structlog.get_logger(__name__)

#: Seconds between two signs of life. Below a third of the lease, so that two may be lost.
BEAT_SECONDS = min(5.0, settings.LEASE_SECONDS / 4)

_renderer: Renderer | None = None
_stop = threading.Event()


def load_renderer() -> Renderer:
    """Check the model folder, load it and render once. Raises ModelUnusable."""
    card = checkpoint.verify(settings.MODEL_DIR)
    checksum = checkpoint.checksum(settings.MODEL_DIR, settings.VAR_DIR / "checksums.json")
    renderer = import_string(settings.RENDERER)(
        settings.MODEL_DIR, device=settings.MODEL_DEVICE, threads=settings.MODEL_THREADS, checksum=checksum,
        name=card.name, max_tokens=card.max_tokens)
    renderer.warm_up()
    log.info("worker.model_ready", model=card.name, device=renderer.provenance["device"])
    return renderer  # type: ignore[no-any-return]  # import_string returns Any


def render_all() -> None:
    """Render queued jobs one after the other until none is left or Celery was asked to stop."""
    assert _renderer is not None, "only a worker that consumes the render queue renders"
    with Finisher() as finisher:
        while celery_state.should_stop is None and rendering.run_next(
                _renderer, settings.WORKER_NAME, finisher.later):
            pass
    if celery_state.should_stop is not None and RenderJob.objects.filter(status=JobStatus.QUEUED).exists():
        queue.wake()  # what this process leaves, another may take at once


def heartbeat() -> None:
    """Report and keep the running job's lease, also through a step that takes longer than the lease."""
    while not _stop.wait(BEAT_SECONDS):
        try:
            workers.seen(settings.WORKER_NAME)
            rendering.renew_held()
        except Exception:  # a database that is away for a moment must not end the heartbeat
            log.exception("worker.heartbeat_failed")
            close_old_connections()
    connection.close()


def renders(worker: Any) -> bool:
    """Whether a Celery worker consumes the render queue."""
    return "render" in worker.app.amqp.queues.consume_from


@signals.celeryd_after_setup.connect
def start(sender: str, instance: Any, **kwargs: object) -> None:
    """Load the model before the first message is taken."""
    global _renderer
    if not renders(instance):
        return
    try:
        workers.starting(settings.WORKER_NAME)
        # What the predecessor of this name held is free at once, while the model still loads here.
        upkeep.take_back(worker=settings.WORKER_NAME)
        threading.Thread(target=heartbeat, name="heartbeat", daemon=True).start()
        _renderer = load_renderer()
    except Exception as error:
        # Celery only logs what a signal handler raises, and would then take jobs without a model.
        log.exception("worker.cannot_start", reason=str(error))
        with suppress(DatabaseError):
            workers.stopped(settings.WORKER_NAME)
        raise SystemExit(1) from error


@signals.worker_ready.connect
def ready(sender: Any, **kwargs: object) -> None:
    """Report, and look for work."""
    if _renderer is None:
        return
    workers.ready(
        settings.WORKER_NAME, device=_renderer.provenance["device"], model_name=_renderer.provenance["model"])
    queue.wake()


@signals.worker_shutdown.connect
def stop(sender: Any, **kwargs: object) -> None:
    """Say goodbye."""
    if _renderer is not None:
        _stop.set()
        workers.stopped(settings.WORKER_NAME)
