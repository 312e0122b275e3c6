"""Counts what the metrics tell, in the transaction in which it happens: nothing is counted twice or for nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db.models import Case, F, FloatField, Q, Value, When

from studio.models import Tally

#: Upper bounds of the histograms' buckets, in seconds: from a small model's decoder to a night in the queue.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
#: As Prometheus writes them.
BUCKETS = (*map(str, BOUNDS), "+Inf")


@dataclass(frozen=True, slots=True)
class _Event:
    kind: str
    label: str = ""
    le: str = ""
    amount: float = 0.0

    @property
    def row(self) -> Q:
        return Q(kind=self.kind, label=self.label, le=self.le)


def picture(worker: str, timings: Mapping[str, float | list[float]]) -> None:
    """Count a delivered picture: how long it waited, and each stage of its making. `timings`: its recipe's, in ms."""
    events = [_Event("picture")]
    for name, ms in timings.items():
        seconds = (sum(ms) if isinstance(ms, list) else ms) / 1000
        kind, label = ("wait", "") if name == "queue" else ("stage", "denoise" if name == "steps" else name)
        events.append(_Event(kind, label, bucket(seconds), seconds))
    _add(worker, events)


def failure(worker: str, reason: str) -> None:
    """Count a job that ended as failed; `reason` is its error's code."""
    _add(worker, [_Event("failed", reason[:60])])


def bucket(seconds: float) -> str:
    """The upper bound of the bucket that `seconds` falls into."""
    return next((str(bound) for bound in BOUNDS if seconds <= bound), BUCKETS[-1])


def _add(worker: str, events: Sequence[_Event]) -> None:
    """One statement, once the rows are there."""
    rows = Tally.objects.filter(reduce(or_, (event.row for event in events)), worker=worker)
    amounts = Case(*(When(event.row, then=Value(event.amount)) for event in events), output_field=FloatField())
    if rows.update(count=F("count") + 1, total=F("total") + amounts) == len(events):
        return
    known = set(rows.values_list("kind", "label"))
    new = [event for event in events if (event.kind, event.label) not in known]
    Tally.objects.bulk_create(
        [Tally(worker=worker, kind=event.kind, label=event.label, le=event.le) for event in new],
        ignore_conflicts=True)
    if new:
        _add(worker, new)
