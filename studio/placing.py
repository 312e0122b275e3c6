"""Pictures that people bring: read safely, laid over a render, and put back where they were."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

from PIL import Image, ImageOps, UnidentifiedImageError

from studio.domain.errors import Invalid
from studio.domain.formats import MAX_SIDE, MIN_SIDE
from studio.domain.i18n import gettext_noop as _

#: What callers hold without knowing Pillow.
Picture = Image.Image
#: The largest file that is taken.
MAX_BYTES = 20 * 2**20
#: From this value on (0..255) a mask says "paint anew".
PAINTED = 128

_ROUNDING = 16  # px a side that a render may exceed its target by, see ModelCard.render_size
_FORMATS = ("PNG", "JPEG", "WEBP")
_KEPT = _("Nothing was lost: what you typed is still there.")
# What Pillow's readers raise for files that are damaged, cut off or made to do harm.
_DAMAGED = (OSError, SyntaxError, ValueError, ArithmeticError, LookupError, EOFError, TypeError, AttributeError,
            NotImplementedError, struct.error, zlib.error)


def read(data: bytes, *, mask: bool = False, field: str = "file") -> Image.Image:
    """Decode an uploaded PNG, JPEG or WebP: upright, RGB, nothing but pixels; as a `mask` in grey (L).

    Transparent parts become white, in a mask black. Of an animation the first picture is taken.
    Raises Invalid (with `field`) for anything that is no such picture, too large, too small or damaged.
    """
    if not data:
        raise Invalid(_("The file is empty."), hint=_KEPT, field=field)
    if len(data) > MAX_BYTES:
        raise Invalid(
            _("The file is larger than %(limit)d MB."), hint=_KEPT, field=field, limit=MAX_BYTES // 2**20)
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as opened:
            _check_size(opened.size, field)  # as the header has it, before anything is unpacked
            opened.load()
            image = ImageOps.exif_transpose(opened)
            return _flat(image, mask=mask)
    except UnidentifiedImageError as error:
        raise Invalid(
            _("This is not a PNG, JPEG or WebP picture."), hint=_KEPT, field=field) from error
    except Image.DecompressionBombError as error:
        raise Invalid(
            _("The picture has too many pixels; use %(low)d to %(high)d a side."), hint=_KEPT, field=field,
            low=MIN_SIDE, high=MAX_SIDE) from error
    except _DAMAGED as error:
        raise Invalid(
            _("The picture is damaged or incomplete. Save it again, or choose another one."), hint=_KEPT, field=field,
        ) from error


def _check_size(size: tuple[int, int], field: str) -> None:
    width, height = size
    if min(size) < MIN_SIDE or max(size) > MAX_SIDE:
        raise Invalid(
            _("The picture has %(width)d × %(height)d pixels; use %(low)d to %(high)d a side."), hint=_KEPT,
            field=field, width=width, height=height, low=MIN_SIDE, high=MAX_SIDE)


def _flat(image: Image.Image, *, mask: bool) -> Image.Image:
    """`image` without transparency and palette, in 8 bits, with no metadata."""
    if image.mode.startswith("I"):  # 16 bits a pixel, as depth maps often are; a plain conversion would cut them off
        image = image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, (0, 0, 0, 255) if mask else (255, 255, 255, 255))
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    plain = image.convert("L" if mask else "RGB")
    return Image.frombytes(plain.mode, plain.size, plain.tobytes())


def encode(image: Image.Image) -> bytes:
    """`image`, RGB or L, as PNG bytes: the same for the same pixels."""
    out = BytesIO()
    image.save(out, "PNG", compress_level=3)
    return out.getvalue()


def is_painted(mask: Image.Image) -> bool:
    """Whether a mask (L) says anywhere that something is to be painted anew."""
    return any(mask.histogram()[PAINTED:])


def reduced(image: Image.Image, side: int) -> Image.Image:
    """`image`, made smaller where its longer side has more than `side` px."""
    image = image.copy()
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return image


def as_mask(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """`image` in pure black and white, at `size`."""
    if image.size != size:
        image = image.resize(size, Image.Resampling.NEAREST)
    return image.convert("L").point([0] * PAINTED + [255] * (256 - PAINTED))


def cover(image: Image.Image, width: int, height: int) -> Image.Image:
    """`image` cropped around its centre to the shape of `width` x `height`, at exactly that size."""
    scale = max(width / image.width, height / image.height)
    if scale == 1:  # to the pixel, without resampling
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))
    inner_width, inner_height = min(image.width, width / scale), min(image.height, height / scale)
    x, y = (image.width - inner_width) / 2, (image.height - inner_height) / 2
    box = (x, y, x + inner_width, y + inner_height)
    how = Image.Resampling.NEAREST if image.mode == "L" else Image.Resampling.LANCZOS
    return image.resize((width, height), how, box=box)


def place(image: Image.Image, width: int, height: int, render_width: int, render_height: int) -> Image.Image:
    """`image` as it lies under a render of `render_width` x `render_height` that delivers `width` x `height`.

    A render less than 16 px larger gets a rim of the picture's own edge pixels, which `unplace` cuts
    off again; any other is a resampling. Masks (mode L) stay black and white.
    """
    image = cover(image, width, height)
    if not _is_rim(width, height, render_width, render_height):
        how = Image.Resampling.NEAREST if image.mode == "L" else Image.Resampling.LANCZOS
        return image.resize((render_width, render_height), how)
    left, top = (render_width - width) // 2, (render_height - height) // 2
    out = Image.new(image.mode, (render_width, render_height))
    out.paste(image, (left, top))
    for at, strip in ((0, (left, left + 1)), (left + width, (left + width - 1, left + width))):
        length = left if at == 0 else render_width - at
        if length:
            out.paste(out.crop((strip[0], 0, strip[1], render_height)).resize((length, render_height)), (at, 0))
    for at, strip in ((0, (top, top + 1)), (top + height, (top + height - 1, top + height))):
        length = top if at == 0 else render_height - at
        if length:
            out.paste(out.crop((0, strip[0], render_width, strip[1])).resize((render_width, length)), (0, at))
    return out


def unplace(image: Image.Image, width: int, height: int) -> Image.Image:
    """The render `image` at the delivered size: the inverse of `place`."""
    if _is_rim(width, height, *image.size):
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _is_rim(width: int, height: int, render_width: int, render_height: int) -> bool:
    return 0 <= render_width - width < _ROUNDING and 0 <= render_height - height < _ROUNDING


def keep(painted: Image.Image, source: Image.Image, mask: Image.Image) -> Image.Image:
    """`painted` with the pixels of `source` wherever `mask` (black and white, all of one size) is black."""
    return Image.composite(painted, source, mask)
