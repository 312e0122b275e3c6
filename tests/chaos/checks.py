"""What must hold at the end, whatever has happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256

from studio import storage
from studio.domain.states import JobStatus
from studio.models import Asset, QuotaAccount, QuotaEntry, RenderJob
from studio.services import quotas, upkeep
from tests.chaos.renderer import POISON


def outcome() -> Counter[str]:
    """Jobs by how they ended, the failed ones by their reason."""
    found: Counter[str] = Counter()
    for status, error in RenderJob.objects.values_list("status", "error"):
        found[status if error is None or status != JobStatus.FAILED else f"failed: {error['code']}"] += 1
    return found


def attempts() -> Counter[str]:
    """Jobs by how often they were begun."""
    return Counter(str(number) for number in RenderJob.objects.values_list("attempts", flat=True))


def wrong(*, pictures: int, poisoned: int) -> list[str]:
    """Everything that does not hold, one sentence each; empty when all is well."""
    return [*_jobs(pictures, poisoned), *_money(), *_files()]


def _jobs(pictures: int, poisoned: int) -> Iterator[str]:
    jobs = RenderJob.objects.select_related("batch")
    if jobs.count() != pictures:
        yield f"{jobs.count()} jobs for {pictures} pictures that were asked for once"
    for job in jobs.exclude(status__in=[JobStatus.DONE, JobStatus.FAILED]):
        yield f"job {job.pk} is stuck: {job.status}, attempt {job.attempts}"
    for job in jobs.filter(status=JobStatus.FAILED):
        if not (job.error and job.error.get("code") and job.error.get("message")):
            yield f"job {job.pk} failed without a reason"
    ended = jobs.filter(batch__prompt=POISON)
    for job in ended.exclude(status=JobStatus.FAILED, attempts=3, error__code="worker_lost"):
        yield f"poison job {job.pk}: {job.status}, attempt {job.attempts}, {job.error}"
    if ended.count() != poisoned:
        yield f"{ended.count()} poison jobs instead of {poisoned}"
    done = set(jobs.filter(status=JobStatus.DONE).values_list("pk", flat=True))
    shown = Counter(Asset.objects.values_list("job_id", flat=True))
    if shown != Counter(done):
        yield f"{len(done)} done jobs have {shown.total()} pictures"


def _money() -> Iterator[str]:
    yield from quotas.mismatches()
    kinds = Counter(QuotaEntry.objects.values_list("kind", flat=True))
    ends = Counter(RenderJob.objects.values_list("status", flat=True))
    if kinds["settle"] != ends["done"] or kinds["release"] != ends["failed"]:
        yield f"the ledger has {dict(kinds)}, the jobs are {dict(ends)}"
    for account in QuotaAccount.objects.filter(reserved__gt=0):
        yield f"{account}: {account.reserved} pictures are still reserved"


def _files() -> Iterator[str]:
    named = set()
    for asset in Asset.objects.all():
        named |= {asset.file_key, asset.thumb_key}
        try:
            with storage.open_file(asset.file_key) as file:
                data = file.read()
            storage.open_file(asset.thumb_key).close()
        except storage.StorageError as error:
            yield f"picture {asset.pk}: {error} ({asset.file_key})"
            continue
        if sha256(data).hexdigest() != asset.sha256 or len(data) != asset.size_bytes:
            yield f"picture {asset.pk} differs from its SHA-256"
    # What a killed worker or a failed job left behind is swept, at once instead of after hours.
    upkeep.ORPHAN_AGE = timedelta(seconds=-60)
    upkeep.sweep_orphans()
    for key, _changed in storage.list_keys("assets"):
        if key not in named:
            yield f"{key} has no row"
