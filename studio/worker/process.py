"""The life of a render worker: load the model, warm up, report, render, stop.

One pipeline per process; this module holds it. Only a process that consumes the render queue
loads it, so the upkeep worker and the web never import torch.
"""

from __future__ import annotations

import gc
import socket
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

from studio import queue
from studio.domain.errors import ModelUnusable
from studio.domain.spec import Engine, Renderer
from studio.models import RenderJob
from studio.services import models, occupancy, rendering, upkeep, workers
from studio.services.models import Chosen
from studio.worker.claims import Claims
from studio.worker.finisher import Finisher

log = structlog.get_logger(__name__)

#: Seconds between two signs of life. Below a third of the lease, so that two may be lost.
BEAT_SECONDS = min(5.0, settings.LEASE_SECONDS / 4)

_renderer: Renderer | None = None
#: What `_renderer` was loaded for.
_loaded: Chosen | None = None
#: Bytes of the GPU's memory that were used after the last picture, and of how many.
_gpu_memory: tuple[int, int] | None = None
_stop = threading.Event()


def load_renderer(choice: Chosen) -> Renderer:
    """Check the chosen model's files, load them and render once. Raises ModelUnusable."""
    try:
        files = models.checked(choice)
        renderer: Engine = import_string(settings.RENDERER)(files, models.options(choice.precision))
        renderer.warm_up()
    except ModelUnusable as error:
        models.failed(choice, error)
        raise
    models.loaded(choice)
    log.info("worker.model_ready", model=files.card.name, checksum=files.checksum[:12], precision=choice.precision,
             device=renderer.provenance["device"], levers=renderer.report())
    return renderer


def render_all() -> None:
    """Render queued jobs one after the other until none is left or Celery was asked to stop.

    Between two jobs the model is changed when another one was activated, and the checks that people asked
    for are made.
    """
    with Finisher() as finisher, Claims(settings.WORKER_NAME) as claims:
        while celery_state.should_stop is None and _follow() and (
                _checked() or rendering.run_next(_ready(), settings.WORKER_NAME, finisher.later, claims)):
            _look_at_memory()
    if celery_state.should_stop is not None and RenderJob.objects.waiting().exists():
        queue.wake()  # what this process leaves, another may take at once


def _checked() -> bool:
    """Whether a check that somebody asked for was made; the time it took is no gap between pictures."""
    made = models.run_checks() > 0
    if made:
        occupancy.of(settings.WORKER_NAME).rest()
    return made


def _look_at_memory() -> None:
    """In the render's thread: from another one it could come between the capture of a CUDA graph."""
    global _gpu_memory
    ask = getattr(_renderer, "gpu_memory", None)  # an engine need not know
    _gpu_memory = ask() if ask else None


def _ready() -> Renderer:
    assert _renderer is not None, "only a worker that consumes the render queue renders"
    return _renderer


def _follow() -> bool:
    """Load the chosen model unless it is the loaded one. False: it can't be loaded, and the process will end."""
    global _renderer, _loaded
    choice = models.chosen()
    if choice == _loaded:
        return True
    log.info("worker.model_changes", entry=choice.entry, checksum=choice.sha256[:12], precision=choice.precision)
    workers.loading(settings.WORKER_NAME)
    occupancy.of(settings.WORKER_NAME).rest()
    _renderer = _loaded = None
    gc.collect()  # two models at once may not fit
    try:
        _renderer, _loaded = load_renderer(choice), choice
    except Exception as error:
        # Without a model nothing is rendered. The supervisor starts the process again, and it looks again.
        log.exception("worker.cannot_change", reason=str(error))
        celery_state.should_stop = 1
        return False
    _report()
    return True


def _report() -> None:
    """The model is loaded: say which."""
    found = _ready().provenance
    _look_at_memory()
    workers.ready(settings.WORKER_NAME, device=found["device"], model_name=found["model"],
                  model_sha256=found.get("checksum", ""), provenance=found)


def heartbeat() -> None:
    """Report and keep the running job's lease, also through a step that takes longer than the lease."""
    while not _stop.wait(BEAT_SECONDS):
        try:
            if not workers.seen(settings.WORKER_NAME, gpu_memory=_gpu_memory) and _renderer is not None:
                _report()
            rendering.renew_held()
        except Exception:  # a database that is away for a moment must not end the heartbeat
            log.exception("worker.heartbeat_failed")
            close_old_connections()
    connection.close()


def renders(worker: Any) -> bool:
    """Whether a Celery worker consumes the render queue."""
    return "render" in worker.app.amqp.queues.consume_from


@signals.setup_logging.connect
def keep_logs(**kwargs: object) -> None:
    """Logs stay as the settings made them: without a receiver Celery would drop what is below its own --loglevel."""


@signals.celeryd_after_setup.connect
def start(sender: str, instance: Any, **kwargs: object) -> None:
    """Load the model before the first message is taken."""
    global _renderer, _loaded
    if not renders(instance):
        return
    try:
        workers.starting(settings.WORKER_NAME, host=socket.gethostname(), pool=settings.WORKER_POOL)
        # What the predecessor of this name held is free at once, while the model still loads here.
        upkeep.take_back(worker=settings.WORKER_NAME)
        threading.Thread(target=heartbeat, name="heartbeat", daemon=True).start()
        choice = models.chosen()
        _renderer, _loaded = load_renderer(choice), choice
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
    _report()
    queue.wake()


@signals.worker_shutting_down.connect
def ending(sender: Any, **kwargs: object) -> None:
    """Asked to end: what is being rendered may be finished, for a while."""
    if _renderer is not None:
        rendering.end_within(settings.STOP_GRACE_SECONDS)


@signals.worker_shutdown.connect
def stop(sender: Any, **kwargs: object) -> None:
    """Say goodbye."""
    if _renderer is not None or celery_state.should_stop == 1:  # 1: this process gave up in `_follow`
        _stop.set()
        workers.stopped(settings.WORKER_NAME)
