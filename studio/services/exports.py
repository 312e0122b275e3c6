"""Finished pictures as their format's platform takes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.conf import settings

from studio import delivered, labels, storage
from studio.models import AdFormat, Asset

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class File:
    """A file to hand out."""

    data: bytes
    content_type: str
    name: str


def deliver(asset: Asset, *, any_size: bool = False) -> File:
    """The picture as its format asks: file type, bytes (unless `any_size`), profile, label. Of no format: the PNG.

    The asset comes with its job's batch, format and campaign. Raises Invalid when the format's limit can't be met,
    FileMissing, or StorageError when the storage is away.
    """
    preset = asset.ad_format
    kind = preset.file_type if preset else AdFormat.FileType.PNG.value
    with storage.open_file(asset.file_key) as file:
        data: bytes = file.read()
    if preset:
        image = delivered.from_png(data)
        xmp = labels.xmp_packet(producer=settings.AI_LABEL_PRODUCER, produce_id=str(asset.job_id))
        data = delivered.encode(image, kind, 0 if any_size else preset.max_bytes, xmp)
    name = f"{asset.campaign.slug}-{preset.pk if preset else 'own'}-{asset.job.frame}.{delivered.SUFFIXES[kind]}"
    return File(data, delivered.CONTENT_TYPES[kind], name)


def flags_of(image: Image.Image, preset: AdFormat | None) -> list[str]:
    """Rules of the format that an RGB picture breaks, by code."""
    return ["background"] if preset and preset.white_background and not delivered.on_white(image) else []
