"""From the engine's picture to a closed job: encode, label, store, then one transaction. Files first, rows second."""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from studio import imaging, labels, notify, queue, storage
from studio.domain.spec import Rendered
from studio.domain.states import JobStatus
from studio.models import Asset, RenderJob
from studio.services import activity, exports, guides, quotas, tallies
from studio.services.guides import Prepared

#: Seconds to wait before a store that is away is asked again; then the picture is given up. Without them a short
#: outage would fail the whole queue, one job after the other.
PAUSES = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True)
class Picture:
    """A stored picture: what its row will say."""

    file_key: str
    thumb_key: str
    sha256: str
    size_bytes: int
    recipe: dict[str, Any]
    flags: list[str]


def store(job: RenderJob, prepared: Prepared, rendered: Rendered, provenance: dict[str, str]) -> Picture:
    """Bring to the exact pixels, label, encode, and write both files."""
    clock = time.perf_counter()
    image = prepared.deliver(rendered.image)
    data = imaging.encode_png(image, xmp=labels.xmp_packet(
        producer=settings.AI_LABEL_PRODUCER, produce_id=str(job.pk)))
    thumb = imaging.thumbnail(image)
    encoded = time.perf_counter()
    digest = sha256(data).hexdigest()
    file_key = _put(storage.asset_key(job.pk, digest, "png"), data, "image/png")
    thumb_key = _put(storage.asset_key(job.pk, digest, "thumb.webp"), thumb, "image/webp")
    stored = time.perf_counter()
    assert job.started_at is not None
    timings = {
        "queue": _ms((job.started_at - job.created_at).total_seconds()), **rendered.timings,
        "encode": _ms(encoded - clock), "store": _ms(stored - encoded)}
    recipe = {
        "prompt": job.batch.prompt, "prompt_tokens": rendered.prompt_tokens, "truncated": rendered.truncated,
        "seed": job.seed, "sampler": job.batch.sampler, "steps": job.batch.steps, "guidance": job.batch.guidance,
        "width": job.width, "height": job.height,
        "render_width": job.render_width, "render_height": job.render_height, **prepared.facts,
        "pixels": guides.pixels(rendered.image), "attempt": job.attempts, "worker": job.worker,
        **provenance, "engine": sorted(provenance), "timings": timings}
    return Picture(file_key, thumb_key, digest, len(data), recipe, exports.flags_of(image, job.ad_format))


def _put(key: str, data: bytes, content_type: str) -> str:
    """Keep the file, with patience for a store that is away. The worker's heartbeat keeps the lease meanwhile."""
    for pause in PAUSES:
        try:
            return storage.put(key, data, content_type)
        except storage.StorageError as error:
            if error.code != storage.StorageError.code:
                raise  # full, or misconfigured: waiting would not mend it
        time.sleep(pause)
    return storage.put(key, data, content_type)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def finish(job: RenderJob, picture: Picture) -> bool:
    """Close the job as done, once: asset, state fenced by the token, charge. False: it was not ours."""
    with transaction.atomic(durable=True):
        ours = RenderJob.objects.filter(pk=job.pk, lease_token=job.lease_token)
        if not ours.move(job.pk, JobStatus.DONE, finished_at=timezone.now(), step=job.batch.run_steps):
            return False
        Asset.objects.create(
            job=job, campaign=job.campaign, author_id=job.batch.requested_by_id, ad_format=job.ad_format,
            file_key=picture.file_key, thumb_key=picture.thumb_key, sha256=picture.sha256,
            size_bytes=picture.size_bytes, width=job.width, height=job.height, alt=job.batch.prompt,
            recipe=picture.recipe, flags=picture.flags)
        tallies.picture(job.worker, picture.recipe["timings"])
        quotas.settle(job.pk)
        notify.job_changed(job, JobStatus.DONE)
    return True


def fail(job: RenderJob, error: dict[str, Any]) -> bool:
    """Close the job as failed and give its quota back. False: it was not ours any more."""
    with transaction.atomic(durable=True):
        ours = RenderJob.objects.filter(pk=job.pk, lease_token=job.lease_token)
        if not ours.move(job.pk, JobStatus.FAILED, finished_at=timezone.now(), error=_plain(error)):
            return False
        tallies.failure(job.worker, str(error["code"]))
        quotas.release(job.pk)
        activity.record(verb="render.failed", campaign=job.campaign, frame=job.frame, reason=str(error["code"]))
        notify.job_changed(job, JobStatus.FAILED)
    return True


def hand_back(job: RenderJob) -> bool:
    """Queue the job again for another worker; this attempt does not count. False: it was not ours any more."""
    with transaction.atomic(durable=True):
        ours = RenderJob.objects.filter(pk=job.pk, lease_token=job.lease_token)
        if not ours.move(job.pk, JobStatus.QUEUED, started_at=None, step=0, attempts=F("attempts") - 1):
            return False
        notify.job_changed(job, JobStatus.QUEUED)
        transaction.on_commit(queue.wake)
    return True


def _plain(error: dict[str, Any]) -> dict[str, Any]:
    """Parameters as JSON can hold them."""
    return error | {"params": {
        name: value if isinstance(value, int | float | str) else str(value)
        for name, value in error["params"].items()}}
