"""Pictures as a zip, written while it is sent: whatever its size, memory holds one picture."""

from __future__ import annotations

from collections.abc import Iterator

from zipstream import ZIP_DEFLATED, ZIP_STORED, ZipStream

from studio import sheetfiles, storage
from studio.domain.states import AssetStatus
from studio.models import Asset, BulkRun

_CHUNK = 64 * 1024


def of_run(run: BulkRun, *, approved: bool) -> Iterator[bytes]:
    """The finished pictures of a sheet with a manifest; only `approved` ones when that is asked."""
    assets = Asset.objects.filter(job__batch__bulk_row__run=run).select_related("job__batch__bulk_row", "ad_format")
    if approved:
        assets = assets.filter(status=AssetStatus.APPROVED)
    archive = ZipStream(compress_type=ZIP_STORED)  # PNG does not get smaller
    lines = [[*run.columns, "row", "frame", "format", "width", "height", "seed", "status", "file", "sha256"]]
    for asset in assets.order_by("job__batch__bulk_row__number", "job__position").iterator(200):
        row = asset.job.batch.bulk_row
        assert row is not None, "asked for by it"
        name = f"{row.number:05}-{asset.ad_format_id or 'own'}-{asset.job.frame}.png"
        cells = [*row.cells, *[""] * len(run.columns)][:len(run.columns)]
        lines.append([*cells, *map(str, (
            row.number, asset.job.frame, asset.ad_format_id or "", asset.width, asset.height, asset.job.seed,
            asset.status, name, asset.sha256))])
        archive.add(_content(asset), name)
    archive.add(sheetfiles.write(lines), "manifest.csv", compress_type=ZIP_DEFLATED)
    yield from archive


def _content(asset: Asset) -> Iterator[bytes]:
    with storage.open_file(asset.file_key) as file:
        while chunk := file.read(_CHUNK):
            yield chunk
