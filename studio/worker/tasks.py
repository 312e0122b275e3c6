"""Celery tasks: wake-ups without arguments. The database says what there is to do."""

from __future__ import annotations

from celery import shared_task

from studio.services import inputs, upkeep
from studio.worker import process


@shared_task(name="studio.render", ignore_result=True)
def render() -> None:
    """Render until nothing is queued, or the process is asked to stop."""
    process.render_all()


@shared_task(name="studio.upkeep", ignore_result=True)
def keep_up() -> None:
    """Take back what died, wake what waits."""
    upkeep.run()


@shared_task(name="studio.sweep", ignore_result=True)
def sweep() -> None:
    """Remove sessions that ran out, and files that nothing names."""
    upkeep.forget_sessions()
    upkeep.sweep_orphans()
    inputs.sweep()
