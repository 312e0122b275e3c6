"""Celery tasks: wake-ups without arguments. The database says what there is to do."""

from __future__ import annotations

from celery import shared_task

from studio.services import feeding, inputs, upkeep
from studio.worker import process
from studio.worker.schedule import SWEEP_SECONDS, UPKEEP_SECONDS


@shared_task(name="studio.render", ignore_result=True)
def render() -> None:
    """Render until nothing is queued, or the process is asked to stop."""
    process.render_all()


@shared_task(name="studio.upkeep", ignore_result=True)
def keep_up() -> None:
    """Take back what died, wake what waits, queue the next rows of sheets."""
    if upkeep.begin("upkeep", every=UPKEEP_SECONDS):
        upkeep.run()
        feeding.feed_all()


@shared_task(name="studio.sweep", ignore_result=True)
def sweep() -> None:
    """Remove sessions that ran out, and files that nothing names."""
    if upkeep.begin("sweep", every=SWEEP_SECONDS):
        upkeep.forget_sessions()
        upkeep.sweep_orphans()
        inputs.sweep()
