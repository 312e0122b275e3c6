"""The only caller of Celery. A message is a hint that there is work; losing it loses nothing."""

from __future__ import annotations

import structlog
from celery import current_app
from django.conf import settings
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)

RENDER_TASK = "studio.render"
#: A hint nobody took within this time is worthless: upkeep sends a new one.
HINT_SECONDS = 60
#: A broker that takes a connection and then says nothing counts as away. Redis has the first two, RabbitMQ the others.
_SOON = {"socket_connect_timeout": 2, "socket_timeout": 2, "read_timeout": 2, "write_timeout": 2}


def wake(hints: int = 1) -> bool:
    """Tell `hints` workers that there is work. False when the broker is away; upkeep tries again.

    A command line outside the supervisor has no broker: a worker looks for work when it starts.
    """
    if not settings.BROKER_URL:
        return False
    try:
        for _ in range(hints):
            current_app.send_task(
                RENDER_TASK, queue="render", expires=HINT_SECONDS, retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        log.warning("queue.broker_away", error=str(error))
        return False
    return True


def answers() -> bool:
    """Whether the broker can be reached now."""
    try:
        with current_app.connection_for_write(connect_timeout=2, transport_options=_SOON) as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
    except (OperationalError, OSError):
        return False
    return True
