"""What is counted for the metrics, for good."""

from __future__ import annotations

from django.db import models


class Tally(models.Model):
    """How often something happened in one worker, and the sum of its amounts; both only grow.

    `kind` and `label` say what: "stage" and "decode". `le` is the upper bound of its histogram's bucket as
    Prometheus writes it, or empty. A row per worker, so that workers don't wait for each other's locks.
    """

    worker = models.CharField(max_length=80)
    kind = models.CharField(max_length=20)
    label = models.CharField(max_length=60, blank=True)
    le = models.CharField(max_length=10, blank=True)
    count = models.PositiveBigIntegerField(default=0)
    total = models.FloatField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["worker", "kind", "label", "le"], name="tally_counted_in_one_row")]

    def __str__(self) -> str:
        return f"{self.worker} {self.kind} {self.label} {self.le}: {self.count}"
