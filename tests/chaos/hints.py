"""An app that makes the messages unreliable: of the hints that are sent, some are lost and some come twice."""

from __future__ import annotations

from random import random

from django.apps import AppConfig
from django.conf import settings

from studio import queue


class Hints(AppConfig):
    """Takes the place of `queue.wake`."""

    name = "tests.chaos.hints"
    label = "chaos_hints"

    def ready(self) -> None:
        """Once the apps are loaded."""
        share, send = settings.CHAOS_HINTS / 100, queue.wake

        def wake(hints: int = 1) -> bool:
            drawn = [random() for _ in range(hints)]
            lost, doubled = sum(one < share for one in drawn), sum(one > 1 - share for one in drawn)
            return send(hints - lost + doubled) if hints > lost else True

        if share:
            queue.wake = wake
