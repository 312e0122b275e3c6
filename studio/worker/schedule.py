"""What beat sends, how often."""

from __future__ import annotations

from typing import Any

#: Seconds between two rounds of upkeep.
UPKEEP_SECONDS = 5
SWEEP_SECONDS = 3600

BEAT: dict[str, dict[str, Any]] = {
    # A round nobody took before the next one is worthless.
    "upkeep": {"task": "studio.upkeep", "schedule": UPKEEP_SECONDS,
               "options": {"queue": "upkeep", "expires": UPKEEP_SECONDS}},
    "sweep": {"task": "studio.sweep", "schedule": SWEEP_SECONDS, "options": {"queue": "upkeep", "expires": 1800}},
}
