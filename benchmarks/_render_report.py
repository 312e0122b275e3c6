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
    full: bool = False  # the full-size architecture
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
        lines += ["", RATIO_HEAD, RATIO_RULE, *(_ratios(row) for row in self.rows if row.times)]
        return "\n".join([*lines, "", *(f"- {note}" for note in self.notes)])


HEAD = ("| size | variant | text ms | denoise ms | decode ms | copy ms | picture ms | stock ms | picture / stock | "
        "pictures/s | GPU idle | peak GB |")
RULE = "|---|---|" + "---:|" * 10
#: The same by stage: as parts of the stock pipeline's, of what the seed claims, and of the arithmetic's floor.
RATIO_HEAD = ("| size | variant | text / stock | denoise / stock | decode / stock | text / 120 | denoise / 680 | "
              "decode / 120 | picture / 920 | picture / 750 (INT8) | denoise / floor |")
RATIO_RULE = "|---|---|" + "---:|" * 9
STAGES = ("text", "denoise", "decode")


def _line(row: Row) -> str:
    times = row.times
    if times is None:
        return f"| {row.size} | {row.variant} | not measured: {row.reason} |" + " |" * 9
    stages = [f"{times.stages.get(name, 0.0):.1f}" for name in (*STAGES, "copy")]
    cells = [
        f"{times.picture:.1f}", f"{row.stock.picture:.1f}" if row.stock else "", _share(row.ratio),
        f"{1000 / times.picture:.2f}", "" if times.idle is None else f"{100 * times.idle:.1f} %",
        "" if times.peak is None else f"{times.peak / 1e9:.1f}",
    ]
    return "| " + " | ".join([row.size, row.variant, *stages, *cells]) + " |"


def _ratios(row: Row) -> str:
    times = row.times
    assert times is not None, "rows without times have no ratios"
    spent = [times.stages.get(name, 0.0) for name in STAGES]
    stock = [row.stock.stages.get(name) if row.stock else None for name in STAGES]
    # The claims are about the full-size model at this size.
    claimed = row.full and row.size == "1024 × 1024"
    cells = [*map(_part, spent, stock), *(_part(ms, CLAIM[name] if claimed else None)
                                          for ms, name in zip(spent, STAGES, strict=True)),
             _part(times.picture, sum(CLAIM.values()) if claimed else None),
             _part(times.picture, CLAIM_INT8 if claimed else None), _part(spent[1], row.floor)]
    return "| " + " | ".join([row.size, row.variant, *cells]) + " |"


def _part(value: float, of: float | None) -> str:
    return _share(value / of if of else None)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
