"""What Prometheus reads: the fleet's numbers from the database, and this process's sockets.

Any web process may be asked, and all say the same of the fleet. A number that only grows ends in `_total`.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import Count, Min, Sum
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from studio.domain.states import JobStatus
from studio.models import RenderJob, Tally, Worker
from studio.services import tallies

#: A worker that has not been seen for longer has no lines of its own any more.
FORGOTTEN = timedelta(hours=1)
#: What a proxy adds: then the address is not that of who asks.
PROXIED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")
#: Said of a worker that neither reports nor has said goodbye.
SILENT = "silent"

registry = CollectorRegistry()
sockets = Gauge("studio_sockets", "Open sockets of the web process that answers.", registry=registry)


def may_read(request: HttpRequest) -> bool:
    """Whether the request has the token; without a METRICS_TOKEN, whether it comes from this very machine."""
    if settings.METRICS_TOKEN:
        scheme, _blank, token = request.headers.get("Authorization", "").partition(" ")
        return constant_time_compare(token.strip(), settings.METRICS_TOKEN) and scheme.lower() == "bearer"
    try:
        local = ipaddress.ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:  # a unix socket, behind which stands a proxy
        return False
    return local and not any(name in request.headers for name in PROXIED)


def exposition(accept: str) -> tuple[bytes, str]:
    """All metrics in the format asked for with `accept`, and its content type. Raises django.db.Error."""
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class Fleet(Collector):
    """Asks the database at each scrape, with a fixed number of queries."""

    def collect(self) -> Iterator[Metric]:
        """The queue, the workers, and what was counted."""
        yield from _queue()
        yield from _workers()
        yield from _counted()


def _queue() -> Iterator[Metric]:
    jobs = GaugeMetricFamily("studio_jobs", "Pictures that are not closed yet.", labels=["status"])
    queued = RenderJob.objects.filter(status=JobStatus.QUEUED).aggregate(count=Count("pk"), oldest=Min("created_at"))
    jobs.add_metric(["queued"], queued["count"])
    jobs.add_metric(["running"], RenderJob.objects.filter(status=JobStatus.RUNNING).count())
    yield jobs
    age = (timezone.now() - queued["oldest"]).total_seconds() if queued["oldest"] else 0.0
    yield GaugeMetricFamily(
        "studio_queue_oldest_seconds", "Age of the queued picture that was asked for first; 0 without one.",
        max(0.0, age))


def _workers() -> Iterator[Metric]:
    now = timezone.now()
    workers = list(Worker.objects.all())
    live = set(Worker.objects.live().values_list("pk", flat=True))
    states = Counter({str(state): 0 for state in Worker.State} | {SILENT: 0})
    states.update(w.state if w.pk in live or w.state == Worker.State.STOPPED else SILENT for w in workers)
    number = GaugeMetricFamily(
        "studio_workers", "Render workers; silent ones stopped reporting without a goodbye.", labels=["state"])
    for state, count in states.items():
        number.add_metric([state], count)
    yield number
    busy = CounterMetricFamily(
        "studio_worker_busy_seconds", "Time for which the renderer rendered.", labels=["worker"])
    gap = CounterMetricFamily(
        "studio_worker_gap_seconds",
        "Time for which it stood still between two pictures, the second being queued already.", labels=["worker"])
    used = GaugeMetricFamily("studio_worker_gpu_memory_used_bytes", "GPU memory in use.", labels=["worker"])
    total = GaugeMetricFamily("studio_worker_gpu_memory_bytes", "GPU memory.", labels=["worker"])
    for worker in workers:
        if worker.seen_at < now - FORGOTTEN:
            continue
        busy.add_metric([worker.name], worker.busy_ms / 1000)
        gap.add_metric([worker.name], worker.gap_ms / 1000)
        if worker.gpu_memory_used is not None and worker.gpu_memory_total is not None:
            used.add_metric([worker.name], worker.gpu_memory_used)
            total.add_metric([worker.name], worker.gpu_memory_total)
    yield from (busy, gap, used, total)


def _counted() -> Iterator[Metric]:
    """The tallies of all workers together."""
    pictures = CounterMetricFamily("studio_pictures", "Pictures delivered.")
    failed = CounterMetricFamily(
        "studio_jobs_failed", "Pictures that failed, by the code of the error.", labels=["reason"])
    wait = HistogramMetricFamily(
        "studio_wait_seconds", "From the request to the start of the attempt that delivered the picture.")
    stage = HistogramMetricFamily("studio_stage_seconds", "A delivered picture's time in each stage.", labels=["stage"])
    delivered, histograms = 0, defaultdict[tuple[str, str], list[tuple[str, int, float]]](list)
    sums = Tally.objects.values_list("kind", "label", "le").annotate(Sum("count"), Sum("total"))
    for kind, label, le, count, amount in sums.order_by("kind", "label"):
        if kind == "picture":
            delivered = count
        elif kind == "failed":
            failed.add_metric([label], count)
        else:
            histograms[kind, label].append((le, count, amount))
    pictures.add_metric([], delivered)
    histograms.setdefault(("wait", ""), [])
    for (kind, label), rows in histograms.items():
        family, labels = (wait, []) if kind == "wait" else (stage, [label])
        family.add_metric(labels, *_histogram(rows))
    yield from (pictures, failed, wait, stage)


def _histogram(rows: list[tuple[str, int, float]]) -> tuple[list[tuple[str, float]], float]:
    """Cumulative (upper bound, count) over all buckets, and the sum of the amounts."""
    counts = dict.fromkeys(tallies.BUCKETS, 0) | {le: count for le, count, _amount in rows}
    buckets, so_far = [], 0
    for le in sorted(counts, key=float):
        so_far += counts[le]
        buckets.append((le, float(so_far)))
    return buckets, sum(amount for _le, _count, amount in rows)


registry.register(Fleet())
