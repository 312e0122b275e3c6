from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from io import BytesIO

import pytest
from PIL import Image

from studio import edges, placing
from studio.domain.errors import Invalid
from tests.factories import mask, picture


def noise(width: int, height: int) -> Image.Image:
    return Image.merge("RGB", [Image.effect_noise((width, height), 80) for _ in "RGB"])


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# --- reading ------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_three_formats_are_read(kind: str, mode: str) -> None:
    found = placing.read(picture(mode, kind=kind))
    assert (found.mode, found.size, found.info) == ("RGB", (64, 48), {})


@pytest.mark.parametrize("mode", ["P", "1", "LA", "RGBA", "I;16", "L"])
def test_every_kind_of_png_is_read(mode: str) -> None:
    data = saved(Image.new(mode, (20, 20)))
    assert placing.read(data).mode == "RGB" and placing.read(data, mask=True).mode == "L"


def test_sixteen_bits_a_pixel_keep_their_shades() -> None:
    ramp = Image.new("I;16", (256, 16))
    for x in range(256):
        ramp.paste(x * 257, (x, 0, x + 1, 16))
    found = placing.read(saved(ramp))
    assert [found.getpixel((x, 0)) for x in (0, 100, 255)] == [(0, 0, 0), (100, 100, 100), (255, 255, 255)]


def test_a_cmyk_jpeg_is_read() -> None:
    assert placing.read(saved(Image.new("CMYK", (20, 20)), "JPEG")).mode == "RGB"


def test_transparency_becomes_white_and_in_a_mask_black() -> None:
    clear = saved(Image.new("RGBA", (20, 20), (255, 0, 0, 0)))
    assert placing.read(clear).getpixel((0, 0)) == (255, 255, 255)
    assert placing.read(clear, mask=True).getpixel((0, 0)) == 0


def test_a_photograph_is_turned_upright_and_loses_its_metadata() -> None:
    exif = Image.Exif()
    exif[274], exif[271] = 6, "Camera"  # rotated; maker
    found = placing.read(saved(noise(40, 20), "JPEG", exif=exif))
    assert found.size == (20, 40) and not found.getexif()
    assert b"Camera" not in placing.encode(found)


def test_of_an_animation_the_first_picture_is_taken() -> None:
    frames = [Image.new("RGB", (20, 20), color) for color in ("red", "blue")]
    for kind in ("PNG", "WEBP"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        assert placing.read(data).getpixel((0, 0)) == (255, 0, 0)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *more: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IEND", b"")


WHOLE = picture(size=(200, 200))
JPEG = picture(size=(200, 200), kind="JPEG")
TEXT_BOMB = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"x" * 5_000_000))
BAD = {
    "nothing": (b"", "empty"),
    "too many bytes": (b"\x89PNG" + bytes(placing.MAX_BYTES), "larger than 20 MB"),
    "no picture": (b"hello", "not a PNG"), "a page": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a PNG"),
    "a GIF": (saved(Image.new("P", (20, 20)), "GIF"), "not a PNG"),
    "a TIFF": (saved(Image.new("RGB", (20, 20)), "TIFF"), "not a PNG"),
    "half a PNG": (WHOLE[:len(WHOLE) // 2], "damaged"), "half a JPEG": (JPEG[:len(JPEG) // 2], "damaged"),
    "a header alone": (WHOLE[:40], "not a PNG"), "no pixels": (png(64, 64), "damaged"),
    "wrong pixels": (png(64, 64, chunk(b"IDAT", zlib.compress(b"\x09" * 5))), "damaged"),
    "a bomb": (png(50_000, 50_000, chunk(b"IDAT", zlib.compress(bytes(10**6)))), "too many pixels"),
    "a bomb of text": (png(64, 64, TEXT_BOMB), "damaged"),
    "no size": (png(0, 0), "not a PNG"), "too small": (saved(Image.new("L", (15, 64))), "15 × 64"),
    "too wide": (saved(Image.new("1", (4097, 16))), "4097 × 16"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_picture_to_use_is_refused_with_the_reason(name: str) -> None:
    data, says = BAD[name]
    for as_mask in (False, True):
        with pytest.raises(Invalid, match=says) as caught:
            placing.read(data, mask=as_mask, field="source")
        assert caught.value.field == "source" and caught.value.hint


def test_damage_anywhere_is_refused_or_read_and_nothing_else() -> None:
    for data in (WHOLE, JPEG, picture(kind="WEBP")):
        for at in range(4, len(data), max(1, len(data) // 60)):
            broken = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1:]
            with suppress(Invalid):
                assert placing.read(broken).mode == "RGB"


# --- geometry -----------------------------------------------------------------------------------
@pytest.mark.parametrize(("width", "height", "render"), [
    (300, 200, (304, 208)), (100, 90, (112, 96)), (250, 200, (256, 208)), (64, 64, (64, 64)), (65, 79, (80, 80)),
])
def test_a_rim_is_cut_off_exactly(width: int, height: int, render: tuple[int, int]) -> None:
    image = noise(300, 200)
    placed = placing.place(image, width, height, *render)
    assert placed.size == render
    assert placing.unplace(placed, width, height).tobytes() == placing.cover(image, width, height).tobytes()


def test_the_rim_repeats_the_edge() -> None:
    placed = placing.place(noise(20, 20), 20, 20, 32, 32)
    assert placed.getpixel((0, 0)) == placed.getpixel((6, 6)) and placed.getpixel((31, 10)) == placed.getpixel((25, 10))
    assert placed.getpixel((10, 31)) == placed.getpixel((10, 25))


def test_another_size_is_a_resampling_and_back() -> None:
    placed = placing.place(noise(100, 100), 16, 16, 64, 64)
    assert placed.size == (64, 64) and placing.unplace(placed, 16, 16).size == (16, 16)


def test_a_picture_of_the_right_size_is_taken_as_it_is() -> None:
    image = noise(64, 48)
    assert placing.cover(image, 64, 48).tobytes() == image.tobytes()
    assert placing.cover(image, 64, 30).tobytes() == image.crop((0, 9, 64, 39)).tobytes()


def test_a_mask_stays_black_and_white_at_every_size() -> None:
    grey = placing.as_mask(Image.linear_gradient("L"), (100, 80))
    for found in (grey, placing.cover(grey, 37, 60), placing.place(grey, 50, 50, 64, 64)):
        assert found.mode == "L" and set(found.tobytes()) == {0, 255}
    assert placing.as_mask(Image.new("L", (1, 1), 127), (1, 1)).getpixel((0, 0)) == 0
    assert placing.as_mask(Image.new("L", (1, 1), 128), (1, 1)).getpixel((0, 0)) == 255


def test_kept_pixels_are_the_sources_own() -> None:
    source, painted = noise(64, 48), noise(64, 48)
    drawn = placing.as_mask(placing.read(mask(), mask=True), source.size)
    found = placing.keep(painted, source, drawn)
    for x in range(64):
        for y in range(48):
            inside = 16 <= x < 40 and 8 <= y < 32
            assert found.getpixel((x, y)) == (painted if inside else source).getpixel((x, y))


def test_edges_are_white_lines_on_black() -> None:
    image = Image.new("RGB", (64, 64), "white")
    image.paste("black", (20, 20, 44, 44))
    found = edges.canny(image)
    assert (found.mode, found.size) == ("RGB", (64, 64))
    colors = {color: count for count, color in found.getcolors() or []}
    assert colors.keys() == {(0, 0, 0), (255, 255, 255)} and 60 < colors[(255, 255, 255)] < 400
