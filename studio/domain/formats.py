"""Ad formats: exact picture sizes that platforms ask for."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path

#: Smallest and largest picture side in pixels. The rotary tables of Z-Image end at 8192 px.
MIN_SIDE, MAX_SIDE = 16, 4096


@dataclass(frozen=True, slots=True)
class FormatPreset:
    """One row of the ad-format table; sizes in pixels, `max_bytes` 0 for no limit."""

    key: str
    platform: str
    name_zh: str
    name_en: str
    width: int
    height: int
    max_bytes: int
    note: str
    confidence: str
    checked_on: date


def read_presets(path: Path) -> list[FormatPreset]:
    """Read the presets from a CSV file with one column per field of `FormatPreset`."""
    with path.open(encoding="utf-8", newline="") as handle:
        return [
            FormatPreset(
                key=row["key"], platform=row["platform"], name_zh=row["name_zh"], name_en=row["name_en"],
                width=int(row["width"]), height=int(row["height"]), max_bytes=int(row["max_bytes"] or 0),
                note=row["note"], confidence=row["confidence"], checked_on=date.fromisoformat(row["checked_on"]),
            )
            for row in csv.DictReader(handle)
        ]
