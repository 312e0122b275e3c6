"""Pictures as a zip, written while it is sent: whatever its size, memory holds one picture."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256

from zipstream import ZIP_DEFLATED, ZIP_STORED, ZipStream

from studio import delivered, sheetfiles
from studio.domain.errors import Invalid
from studio.domain.states import AssetStatus
from studio.models import Asset, BulkRun
from studio.services import exports


def of_run(run: BulkRun, *, approved: bool) -> Iterator[bytes]:
    """The finished pictures of a sheet as their formats ask, with a manifest; only `approved` ones when asked.

    A picture that can't be made small enough is in it as it is, and the manifest says so.
    """
    assets = Asset.objects.filter(job__batch__bulk_row__run=run).select_related("job__batch__bulk_row", "ad_format")
    if approved:
        assets = assets.filter(status=AssetStatus.APPROVED)
    archive = ZipStream(compress_type=ZIP_STORED)  # pictures do not get smaller
    # Filled while the pictures are written, and written after them.
    lines = [[*run.columns, "row", "frame", "format", "width", "height", "seed", "status", "file", "sha256", "note"]]
    for asset in assets.order_by("job__batch__bulk_row__number", "job__position").iterator(200):
        row = asset.job.batch.bulk_row
        assert row is not None, "asked for by it"
        suffix = delivered.SUFFIXES[asset.ad_format.file_type if asset.ad_format else "png"]
        name = f"{row.number:05}-{asset.ad_format_id or 'own'}-{asset.job.frame}.{suffix}"
        cells = [*row.cells, *[""] * len(run.columns)][:len(run.columns)]
        line = [*cells, *map(str, (row.number, asset.job.frame, asset.ad_format_id or "", asset.width, asset.height,
                                   asset.job.seed, asset.status, name))]
        archive.add(_content(asset.pk, line, lines), name)
    archive.add(sheetfiles.write(lines), "manifest.csv", compress_type=ZIP_DEFLATED)
    yield from archive


def _content(pk: int, line: list[str], lines: list[list[str]]) -> Iterator[bytes]:
    """The delivered file, made when its turn comes; its line goes to the manifest with the digest."""
    asset = Asset.objects.select_related("job__batch", "campaign", "ad_format").get(pk=pk)
    note = " ".join(asset.flags)
    try:
        data = exports.deliver(asset).data
    except Invalid:
        data, note = exports.deliver(asset, any_size=True).data, f"{note} bytes".strip()
    lines.append([*line, sha256(data).hexdigest(), note])
    yield data
