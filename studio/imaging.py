"""Pillow work on finished pictures: exact sizes, PNG, thumbnails."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO

from isal import isal_zlib
from PIL import Image, ImageChops, ImageFilter

# Pillow refuses files of more than twice this many pixels: the largest picture rendered is 4096 x 4096.
Image.MAX_IMAGE_PIXELS = 4096 * 4096

_ROUNDING = 16  # px a side that a render may exceed its target by, see ModelCard.render_size
_UP = b"\x02"  # the PNG filter "difference to the row above"
_KEEP = 0.75  # the least part of a side that stays when a picture is cropped to another shape
_HARMLESS = 0.95  # a crop that keeps this much of a side needs no look at the content
_MARGIN = 0.2  # the largest part of a picture at either side that is stretched
_STRIP = 8  # px, the width of the pieces in which a margin is stretched
_PROBE = 32  # cells a side in which the content is looked for
_CONTRAST = 40  # sum of channel differences from which a cell belongs to the content


def fit(image: Image.Image, width: int, height: int) -> Image.Image:
    """`image` as exactly `width` x `height` px, RGB.

    A render that is less than 16 px too large is cropped at the centre. Any other is resampled
    and cropped around its content, which is not cut: where the shape asks for more than that,
    the picture's margins are stretched and softened to fill the rest.
    """
    if image.mode != "RGB":
        image = image.convert("RGB")
    if 0 <= image.width - width < _ROUNDING and 0 <= image.height - height < _ROUNDING:
        left, top = (image.width - width) // 2, (image.height - height) // 2
        return image.crop((left, top, left + width, top + height))
    if width * image.height >= height * image.width:
        return _fit_wider(image, width, height)
    # The narrower shape is the wider one with rows and columns exchanged.
    flip = Image.Transpose.TRANSPOSE
    return _fit_wider(image.transpose(flip), height, width).transpose(flip)


def encode_png(image: Image.Image, *, xmp: str = "") -> bytes:
    """`image`, RGB, as PNG bytes; `xmp` is an XMP packet to put into the file.

    Many times quicker than Pillow's encoder at about the same size: every row is stored as its
    difference to the row above, and ISA-L compresses.
    """
    rows = ImageChops.subtract_modulo(image, ImageChops.offset(image, 0, 1))
    rows.paste(image.crop((0, 0, image.width, 1)), (0, 0))  # the first row has none above it
    data, length = rows.tobytes(), image.width * 3
    scanlines = b"".join(_UP + data[at:at + length] for at in range(0, len(data), length))
    parts = [b"\x89PNG\r\n\x1a\n", _chunk(b"IHDR", struct.pack(">IIBBBBB", image.width, image.height, 8, 2, 0, 0, 0))]
    if xmp:
        # Neither compressed, as XMP demands, nor with a language or a translated keyword.
        parts.append(_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp.encode()))
    parts += [_chunk(b"IDAT", isal_zlib.compress(scanlines, 1)), _chunk(b"IEND", b"")]
    return b"".join(parts)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", isal_zlib.crc32(kind + body))


def thumbnail(image: Image.Image, side: int = 512) -> bytes:
    """A WebP of the whole picture whose longer side is at most `side` px."""
    factor = max(image.size) // side
    if factor > 1:
        image = image.reduce(factor)  # many times quicker than resampling from the full size
    if max(image.size) > side:
        scale = side / max(image.size)
        width, height = (max(1, round(length * scale)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    out = BytesIO()
    image.save(out, "WEBP", quality=82, method=2)
    return out.getvalue()


@dataclass(frozen=True, slots=True)
class _Content:
    """Where the content lies, as parts (0..1) of the width and of the height."""

    left: float
    top: float
    right: float
    bottom: float


def _fit_wider(image: Image.Image, width: int, height: int) -> Image.Image:
    """`fit` for a target that is relatively wider than the picture: rows are cropped, columns added."""
    content = _find_content(image)
    cropped = image.width * height / (width * image.height)  # part of the rows that a plain crop keeps
    extent = content.bottom - content.top
    if extent > _HARMLESS:
        extent = 0.0  # content from edge to edge is a pattern or a scene, which a crop does not spoil
    part = cropped if cropped > _HARMLESS else max(cropped, _KEEP, extent)
    rows = max(1, round(part * image.height))
    middle = (content.top + content.bottom) / 2 * image.height
    top = min(max(0, round(middle - rows / 2)), image.height - rows)
    if part == cropped:
        columns = min(float(image.width), rows * width / height)
        left = (image.width - columns) / 2
        box = (left, top, left + columns, top + rows)
        return _sharpen(image.resize((width, height), Image.Resampling.LANCZOS, box=box), height / rows)
    picture = image.crop((0, top, image.width, top + rows))
    if height < rows:
        picture = picture.resize((round(image.width * height / rows), height), Image.Resampling.LANCZOS)
    free = content.left, 1 - content.right
    if not any(free):
        free = _MARGIN, _MARGIN
    margins = [max(2, round(picture.width * min(part, _MARGIN))) for part in free]
    # Before it is enlarged: the softened margins need no more pixels than the picture has.
    picture = _extend(picture, max(picture.width, round(width * picture.height / height)), *margins)
    if picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
    return _sharpen(picture, height / rows)


def _sharpen(image: Image.Image, scale: float) -> Image.Image:
    """Give back some of the edges that enlarging by `scale` has softened."""
    if scale <= 1.5:
        return image
    return image.filter(ImageFilter.UnsharpMask(radius=min(4.0, scale * 0.6), percent=70, threshold=2))


def _find_content(image: Image.Image) -> _Content:
    """The box of what stands out from the background, with some air. The whole picture when nothing does.

    The background is what the four borders give when they are carried on into the picture, which
    follows gradients and horizons.
    """
    side = _PROBE
    data = image.resize((side, side), Image.Resampling.BOX).tobytes()
    cells = [[data[3 * (y * side + x):][:3] for x in range(side)] for y in range(side)]
    first, last = cells[0], cells[-1]
    by_row, by_column = [0.0] * side, [0.0] * side
    for y, row in enumerate(cells):
        down = y / (side - 1)
        for x, cell in enumerate(row):
            across = x / (side - 1)
            contrast = 0.0
            for c in range(3):
                sides = row[0][c] * (1 - across) + row[-1][c] * across
                ends = first[x][c] * (1 - down) + last[x][c] * down
                upper = first[0][c] * (1 - across) + first[-1][c] * across
                lower = last[0][c] * (1 - across) + last[-1][c] * across
                contrast += abs(cell[c] - (sides + ends - upper * (1 - down) - lower * down))
            if contrast > _CONTRAST:
                by_row[y] += contrast
                by_column[x] += contrast
    top, bottom = _span(by_row)
    left, right = _span(by_column)
    return _Content(left, top, right, bottom)


def _span(weights: list[float]) -> tuple[float, float]:
    """From where to where (0..1) the weights matter, with one cell of air on both sides."""
    found = [i for i, weight in enumerate(weights) if weight > 0.1 * max(weights)]
    if not found:
        return 0.0, 1.0
    return max(0, found[0] - 1) / len(weights), min(len(weights), found[-1] + 2) / len(weights)


def _extend(picture: Image.Image, width: int, margin_left: int, margin_right: int) -> Image.Image:
    """Widen `picture` to `width` px by stretching these margins (px) at its sides, ever more outwards.

    The stretch begins at 1:1, so that there is no seam.
    """
    height = picture.height
    added = width - picture.width
    left, right = margin_left + added // 2, margin_right + added - added // 2  # px that the margins become
    start, edge = width - right, picture.width - margin_right
    pieces = [(left, start, float(margin_left), float(edge))]
    for near, far in _strips(left):
        outer, inner = (margin_left - _inner(at, left, margin_left) for at in (far, near))
        pieces.append((left - far, left - near, outer, inner))
    for near, far in _strips(right):
        inner, outer = (edge + _inner(at, right, margin_right) for at in (near, far))
        pieces.append((start + near, start + far, inner, outer))
    mesh = [((x0, 0, x1, height), (u0, 0, u0, height, u1, height, u1, 0)) for x0, x1, u0, u1 in pieces]
    wide = picture.transform((width, height), Image.Transform.MESH, mesh, Image.Resampling.BILINEAR)
    # What is stretched that far turns into streaks; a blur across them that grows outwards hides it.
    for strength, ramp in ((0.02, 0.1), (0.06, 0.4), (0.2, 1.0)):
        blurred = wide.filter(ImageFilter.GaussianBlur((0, height * strength)))
        mask = _outer_mask(wide.size, left, right, max(margin_left, margin_right) + ramp * left)
        wide = Image.composite(blurred, wide, mask)
    return wide


def _inner(distance: float, length: int, margin: int) -> float:
    """Where in a margin of `margin` px the pixel lies that is shown `distance` px into the `length` px it becomes."""
    return distance / (1 + distance * (1 / margin - 1 / length))


def _strips(length: int) -> list[tuple[int, int]]:
    return [(near, min(near + _STRIP, length)) for near in range(0, length, _STRIP)]


def _outer_mask(size: tuple[int, int], left: int, right: int, ramp: float) -> Image.Image:
    """Black where the picture keeps its scale, rising over `ramp` px to white in the stretched margins."""
    width = size[0]
    row = bytes(
        round(255 * min(1.0, max(0, left - x, x - (width - right) + 1) / max(1.0, ramp))) for x in range(width)
    )
    return Image.frombytes("L", (width, 1), row).resize(size, Image.Resampling.NEAREST)
