"""An app that makes the messages unreliable: of the hints that are sent, some are lost and some come twice."""

from __future__ import annotations

import os
from random import random

from django.apps import AppConfig

from studio import queue

#: The share (0 to 1) of hints that are never sent; as many again are sent twice.
SHARE = float(os.environ.get("CHAOS_HINTS", "0"))


class Hints(AppConfig):
    """Takes the place of `queue.wake`."""

    name = "tests.chaos.hints"
    label = "chaos_hints"

    def ready(self) -> None:
        """Once the apps are loaded."""
        send = queue.wake

        def wake(hints: int = 1) -> bool:
            drawn = [random() for _ in range(hints)]
            lost, doubled = sum(one < SHARE for one in drawn), sum(one > 1 - SHARE for one in drawn)
            return send(hints - lost + doubled) if hints > lost else True

        if SHARE:
            queue.wake = wake
