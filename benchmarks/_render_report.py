"""Rows of the render benchmark as a table and as JSON."""

from __future__ import annotations

import json
import os
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks._render_engine import Times

#: What the project's seed document claims for 1024 x 1024 px on an H800, in ms; and for INT8, whole.
CLAIM = {"text": 120.0, "denoise": 680.0, "decode": 120.0}
CLAIM_INT8 = 750.0


@dataclass(frozen=True, slots=True)
class Row:
    """One variant at one size, beside the stock pipeline timed in turn with it."""

    variant: str
    size: str
    times: Times | None = None
    stock: Times | None = None
    floor: float | None = None  # ms of the steps' arithmetic at the speed measured in this run
    reason: str = ""
    apart: bool = False  # the stock pipeline was timed earlier in the run, with other variants

    @property
    def ratio(self) -> float | None:
        """Whole picture: this variant by the stock pipeline, the median over rounds timed in turn."""
        if not self.times or not self.stock:
            return None
        if self.apart:
            return self.times.picture / self.stock.picture
        return statistics.median(a / b for a, b in zip(self.times.rounds, self.stock.rounds, strict=True))


@dataclass
class Report:
    """Everything measured; kept on disk after each row, so that a run that is cut off leaves what it had."""

    about: dict[str, str]
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Take a row and say it."""
        self.rows.append(row)
        print(_line(row), flush=True)
        self.save()

    def note(self, text: str) -> None:
        """Take a remark, such as why a lever was not used."""
        self.notes.append(text)
        print(f"  {text}", flush=True)

    def save(self) -> None:
        """Write $OUT/render.json, if OUT is set."""
        if os.environ.get("OUT"):
            found = {"about": self.about, "notes": self.notes,
                     "rows": [asdict(row) | {"ratio": row.ratio} for row in self.rows]}
            Path(os.environ["OUT"], "render.json").write_text(json.dumps(found, indent=1), encoding="utf-8")

    def table(self) -> str:
        """Markdown."""
        lines = [", ".join(f"{name} {value}" for name, value in self.about.items()), "", HEAD, RULE]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes)])


HEAD = ("| size | variant | text ms | denoise ms | decode ms | copy ms | picture ms | stock ms | picture / stock | "
        "denoise / floor | picture / claim | pictures/s | GPU idle | peak GB |")
RULE = "|---|---|" + "---:|" * 12


def _line(row: Row) -> str:
    times = row.times
    if times is None:
        return f"| {row.size} | {row.variant} | not measured: {row.reason} |" + " |" * 11
    stages = [f"{times.stages.get(name, 0.0):.1f}" for name in ("text", "denoise", "decode", "copy")]
    claim = None
    if row.floor is not None and row.size == "1024 × 1024":  # the claim is about the full-size model at this size
        claim = times.picture / (CLAIM_INT8 if "int8" in row.variant else sum(CLAIM.values()))
    cells = [
        f"{times.picture:.1f}", f"{row.stock.picture:.1f}" if row.stock else "", _share(row.ratio),
        _share(times.stages.get("denoise", 0.0) / row.floor if row.floor else None), _share(claim),
        f"{1000 / times.picture:.2f}", "" if times.idle is None else f"{100 * times.idle:.1f} %",
        "" if times.peak is None else f"{times.peak / 1e9:.1f}",
    ]
    return "| " + " | ".join([row.size, row.variant, *stages, *cells]) + " |"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
