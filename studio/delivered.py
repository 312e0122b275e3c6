"""Pictures as platforms take them: file type, byte limit, colour profile, label. Pillow alone."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from io import BytesIO

from PIL import Image, ImageChops, ImageCms
from PIL.PngImagePlugin import PngInfo

from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _

CONTENT_TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
SUFFIXES = {"png": "png", "jpeg": "jpg", "webp": "webp"}
#: Best quality, and the least that is still delivered.
_BEST, _LEAST = 95, 40
#: Part of the shorter side that is the border of a picture on white.
_BORDER = 0.03
#: From this on a channel counts as white: JPEG's own noise stays above it.
_WHITE = 250


def from_png(data: bytes) -> Image.Image:
    """A stored picture, RGB."""
    return Image.open(BytesIO(data)).convert("RGB")


def encode(image: Image.Image, file_type: str, max_bytes: int, xmp: str) -> bytes:
    """`image`, RGB, as a file of at most `max_bytes` (0: any), with the sRGB profile and the XMP packet in it.

    JPEG and WebP take the best quality that fits, JPEG first with full colour resolution. Raises Invalid when
    nothing that is fit to be seen fits.
    """
    for save in _ways(image, file_type, xmp):
        best = save(_BEST)
        if not max_bytes or len(best) <= max_bytes:
            return best
        if file_type != "png" and (found := _search(save, max_bytes)):
            return found
    raise Invalid(_("This picture can't be delivered within %(limit)d KB."), limit=max_bytes // 1024)


def _search(save: Callable[[int], bytes], max_bytes: int) -> bytes:
    """The file of the highest quality that fits, or nothing."""
    low, high, found = _LEAST, _BEST - 1, b""
    while low <= high:
        middle = (low + high) // 2
        data = save(middle)
        if len(data) <= max_bytes:
            found, low = data, middle + 1
        else:
            high = middle - 1
    return found


def _ways(image: Image.Image, file_type: str, xmp: str) -> list[Callable[[int], bytes]]:
    """Ways to save it by quality, the better first."""
    if file_type == "jpeg":
        return [lambda quality, sampling=sampling: _saved(  # type: ignore[misc]  # the default binds
            image, "JPEG", quality=quality, subsampling=sampling, xmp=xmp.encode())
            for sampling in (0, 2)]
    if file_type == "webp":
        return [lambda quality: _saved(image, "WEBP", quality=quality, method=4, xmp=xmp.encode())]
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp)
    return [lambda quality: _saved(image, "PNG", optimize=True, pnginfo=info),
            lambda quality: _saved(image.quantize(256), "PNG", optimize=True, pnginfo=info)]


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, icc_profile=_srgb(), **options)
    return out.getvalue()


@cache
def _srgb() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    # When it was made stands in its header: the same picture must be the same bytes in every process.
    profile[24:36] = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)
    return bytes(profile)


def on_white(image: Image.Image) -> bool:
    """Whether the border of an RGB picture is pure white, but for specks."""
    edge = max(1, round(min(image.size) * _BORDER))
    width, height = image.size
    boxes = ((0, 0, width, edge), (0, height - edge, width, height), (0, edge, edge, height - edge),
             (width - edge, edge, width, height - edge))
    white = total = 0
    for box in boxes:
        low, *others = image.crop(box).split()
        for channel in others:
            low = ImageChops.darker(low, channel)
        histogram = low.histogram()
        white += sum(histogram[_WHITE:])
        total += sum(histogram)
    return white >= 0.995 * total
