from __future__ import annotations

import csv
import os
from io import BytesIO
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw

from studio import imaging
from tests.factories import PRESETS, TRAINED

SIZES = [
    (800, 800), (750, 1000), (1920, 600), (1080, 1440), (1080, 1920), (900, 383), (1200, 630), (300, 250), (728, 90),
    (160, 600), (970, 250), (320, 50), (1600, 1600), (16, 16), (16, 256), (256, 16), (257, 256), (255, 257),
    (4096, 256),
]


def scene(*, box: tuple[int, int, int, int] = (70, 60, 186, 210), size: tuple[int, int] = (256, 256)) -> Image.Image:
    """A blue box on a vertical gradient; sizes in pixels."""
    image = Image.new("RGB", size)
    draw = ImageDraw.Draw(image)
    for y in range(size[1]):
        shade = 64 * y // size[1]
        draw.line((0, y, size[0], y), fill=tuple(max(0, channel - shade) for channel in (240, 200, 210)))
    draw.rectangle(box, fill=(20, 40, 200))
    return image


def blue(image: Image.Image) -> Image.Image:
    """White where the box is."""
    red, _green, bl = image.split()
    return ImageChops.subtract(bl, red).point(lambda v: 255 if v > 90 else 0)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_every_format_gets_its_exact_pixels(width: int, height: int) -> None:
    assert imaging.fit(scene(), width, height).size == (width, height)


def test_the_formats_of_the_studio_get_their_exact_pixels() -> None:
    for path in (Path(__file__).parents[1] / "studio").rglob("formats.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                size = int(row["width"]), int(row["height"])
                assert imaging.fit(scene(), *size).size == size


def test_a_rounded_up_render_is_only_cropped() -> None:
    image = Image.frombytes("RGB", (736, 96), os.urandom(736 * 96 * 3))
    fitted = imaging.fit(image, 728, 90)
    assert fitted.tobytes() == image.crop((4, 3, 732, 93)).tobytes()


def test_the_exact_size_is_left_alone() -> None:
    image = scene()
    assert imaging.fit(image, 256, 256).tobytes() == image.tobytes()


@pytest.mark.parametrize("box", [(70, 60, 186, 210), (12, 70, 120, 190), (140, 70, 244, 190), (80, 14, 176, 120)])
@pytest.mark.parametrize(
    ("width", "height"), [(728, 90), (160, 600), (900, 383), (1080, 1920), (1080, 1350), (320, 50)]
)
def test_the_content_is_not_cut(width: int, height: int, box: tuple[int, int, int, int]) -> None:
    fitted = imaging.fit(scene(box=box), width, height)
    found = blue(fitted).getbbox()
    assert found is not None
    left, top, right, bottom = found
    assert left > 0 and top > 0 and right < width and bottom < height
    aspect = (box[2] - box[0]) / (box[3] - box[1])
    assert (right - left) / (bottom - top) == pytest.approx(aspect, rel=0.35)


@pytest.mark.parametrize("box", [(.3, .2, .7, .8), (.08, .08, .92, .92), (.06, .3, .45, .7), (.4, .07, .6, .5)])
@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_the_content_of_a_render_at_the_nearest_trained_size_keeps_its_size_and_shape(
    preset: Any, box: tuple[float, float, float, float]
) -> None:
    width, height = TRAINED.render_size(preset.width, preset.height)
    drawn = round(box[0] * width), round(box[1] * height), round(box[2] * width) - 1, round(box[3] * height) - 1
    fitted = imaging.fit(scene(box=drawn, size=(width, height)), preset.width, preset.height)
    found = blue(fitted).getbbox()
    assert fitted.size == (preset.width, preset.height) and found is not None
    left, top, right, bottom = found
    assert left > 0 and top > 0 and right < preset.width and bottom < preset.height
    scales = [(right - left) / (drawn[2] - drawn[0] + 1), (bottom - top) / (drawn[3] - drawn[1] + 1)]
    assert scales[0] == pytest.approx(scales[1], rel=0.06)
    # Scaled so that the render fills the format, or a little less where margins were stretched.
    full = max(preset.width / width, preset.height / height)
    assert 0.74 * full < min(scales) and max(scales) < 1.06 * full


@pytest.mark.parametrize(("width", "height"), [(728, 90), (1920, 600)])
def test_a_gradient_goes_on_without_a_seam(width: int, height: int) -> None:
    fitted = imaging.fit(scene(), width, height)
    row = fitted.crop((0, height // 12, width, height // 12 + 1))
    steps = ImageChops.difference(row, ImageChops.offset(row, 1, 0)).crop((1, 0, width, 1))
    assert all(high <= 6 for _low, high in steps.getextrema())  # type: ignore[misc]


def test_it_takes_pictures_with_alpha_and_grey() -> None:
    for mode in ("RGBA", "L", "P"):
        assert imaging.fit(scene().convert(mode), 300, 250).mode == "RGB"


def test_the_result_is_always_the_same() -> None:
    assert imaging.fit(scene(), 1080, 1920).tobytes() == imaging.fit(scene(), 1080, 1920).tobytes()


@pytest.mark.parametrize("size", [(1, 1), (3, 7), (300, 250), (1080, 1920)])
def test_png_keeps_every_pixel(size: tuple[int, int]) -> None:
    image = Image.frombytes("RGB", size, os.urandom(size[0] * size[1] * 3))
    with Image.open(BytesIO(imaging.encode_png(image))) as found:
        found.load()
        assert found.format == "PNG" and found.mode == "RGB" and found.tobytes() == image.tobytes()


def test_png_bytes_depend_on_the_picture_alone() -> None:
    assert imaging.encode_png(scene()) == imaging.encode_png(scene())


@pytest.mark.parametrize(("size", "expected"), [
    ((1080, 1920), (288, 512)), ((728, 90), (512, 63)), ((320, 50), (320, 50)), ((4096, 16), (512, 2)),
    ((16, 16), (16, 16)),
])
def test_a_thumbnail_fits_its_side(size: tuple[int, int], expected: tuple[int, int]) -> None:
    with Image.open(BytesIO(imaging.thumbnail(Image.new("RGB", size)))) as found:
        assert found.format == "WEBP" and found.size == expected


def test_encoding_is_quick() -> None:
    image = imaging.fit(scene(), 1080, 1920)
    for encode in (imaging.encode_png, imaging.thumbnail):
        times = []
        for _ in range(3):
            start = perf_counter()
            encode(image)
            times.append(perf_counter() - start)
        assert min(times) < 0.1


@pytest.mark.parametrize(("width", "height"), [(1080, 1920), (1920, 1080)])
def test_a_picture_is_fitted_and_encoded_quickly(width: int, height: int) -> None:
    image = scene(size=TRAINED.render_size(width, height))
    times = []
    for _ in range(3):
        start = process_time()  # of this process alone: what else the machine does is not what this is about
        imaging.encode_png(imaging.fit(image, width, height))
        times.append(process_time() - start)
    assert min(times) < 0.3


def test_enormous_files_are_refused() -> None:
    data = BytesIO()
    Image.new("1", (8200, 8200)).save(data, "PNG")
    with pytest.raises(Image.DecompressionBombError):
        Image.open(data)
