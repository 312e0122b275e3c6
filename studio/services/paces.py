"""How long pictures take, from what workers measured: by model, size and steps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from studio.models import Pace as Row
from studio.models import Worker

#: Weight of the newest picture in a moving average.
_NEWEST = 0.2


def mean(known: float, newest: float) -> float:
    """The moving average after one more value; the first value is its own average."""
    return known + _NEWEST * (newest - known) if known else newest


@dataclass(frozen=True, slots=True)
class Pace:
    """Milliseconds: `step_ms` for each step and `rest_ms` for all else of a picture, over all sizes.

    `sizes` has both for the (width, height), in pixels, that have been rendered.
    """

    step_ms: float
    rest_ms: float
    sizes: Mapping[tuple[int, int], tuple[float, float]] = field(default_factory=dict)

    def ms(self, *, pictures: int, steps: int) -> float:
        """Milliseconds for `pictures` pictures of any size, one after the other, that take `steps` steps in all."""
        return pictures * self.rest_ms + steps * self.step_ms

    def picture(self, width: int, height: int, steps: int) -> float:
        """Milliseconds for one picture: as measured at its size, else in proportion to the nearest one's pixels."""
        if not self.sizes:
            return self.ms(pictures=1, steps=steps)
        area = width * height
        near = min(self.sizes, key=lambda size: (size != (width, height), abs(size[0] * size[1] - area)))
        step_ms, rest_ms = self.sizes[near]
        return (rest_ms + steps * step_ms) * area / (near[0] * near[1])


#: Until a worker has delivered its first picture: one second for eight steps.
UNKNOWN = Pace(step_ms=100.0, rest_ms=200.0)


def of(workers: Iterable[Worker]) -> Pace | None:
    """The mean of those that have rendered; None when none has. Sizes count with the model that is loaded now."""
    known = {worker.pk: worker for worker in workers if worker.step_ms}
    if not known:
        return None
    found: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
    for row in Row.objects.filter(worker__in=known):
        if row.model_sha256 == known[row.worker_id].model_sha256:
            found[row.width, row.height].append((row.step_ms, row.rest_ms))
    count = len(known)
    return Pace(
        sum(worker.step_ms for worker in known.values()) / count,
        sum(worker.rest_ms for worker in known.values()) / count,
        {size: (sum(step for step, _ in rows) / len(rows), sum(rest for _, rest in rows) / len(rows))
         for size, rows in found.items()})


def note(worker: Worker, *, size: tuple[int, int], step_ms: float, rest_ms: float) -> None:
    """A picture of `size` took this long."""
    row, made = Row.objects.get_or_create(
        worker=worker, model_sha256=worker.model_sha256, width=size[0], height=size[1],
        defaults={"step_ms": step_ms, "rest_ms": rest_ms})
    if not made:
        Row.objects.filter(pk=row.pk).update(
            step_ms=mean(row.step_ms, step_ms), rest_ms=mean(row.rest_ms, rest_ms))
