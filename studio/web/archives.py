"""Pictures as a zip, written while it is sent: whatever its size, memory holds one picture."""

from __future__ import annotations

from collections.abc import Iterator

from zipstream import ZIP_DEFLATED, ZIP_STORED, ZipStream

from studio import delivered, sheetfiles, storage
from studio.domain.errors import Invalid
from studio.domain.states import AssetStatus
from studio.models import Asset, BulkRun
from studio.services import exports


def of_run(run: BulkRun, *, approved: bool) -> Iterator[bytes]:
    """The finished pictures of a sheet with a manifest; only `approved` ones when that is asked."""
    assets = Asset.objects.filter(job__batch__bulk_row__run=run).select_related("job__batch__bulk_row", "ad_format")
    if approved:
        assets = assets.filter(status=AssetStatus.APPROVED)
    archive = ZipStream(compress_type=ZIP_STORED)  # pictures do not get smaller
    lines = [[*run.columns, "row", "frame", "format", "width", "height", "seed", "status", "file", "sha256"]]
    for asset in assets.order_by("job__batch__bulk_row__number", "job__position").iterator(200):
        row = asset.job.batch.bulk_row
        assert row is not None, "asked for by it"
        name = f"{row.number:05}-{asset.ad_format_id or 'own'}-{asset.job.frame}.{_suffix(asset)}"
        cells = [*row.cells, *[""] * len(run.columns)][:len(run.columns)]
        lines.append([*cells, *map(str, (
            row.number, asset.job.frame, asset.ad_format_id or "", asset.width, asset.height, asset.job.seed,
            asset.status, name, asset.sha256))])
        archive.add(_content(asset.pk), name)
    archive.add(sheetfiles.write(lines), "manifest.csv", compress_type=ZIP_DEFLATED)
    yield from archive


def _suffix(asset: Asset) -> str:
    return delivered.SUFFIXES[asset.ad_format.file_type if asset.ad_format else "png"]


def _content(pk: int) -> Iterator[bytes]:
    """The delivered file, made when its turn comes; the PNG itself where the format's limit can't be met."""
    asset = Asset.objects.select_related("job__batch", "campaign", "ad_format").get(pk=pk)
    try:
        yield exports.deliver(asset).data
    except Invalid:
        with storage.open_file(asset.file_key) as file:
            yield file.read()
