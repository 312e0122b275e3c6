from __future__ import annotations

import random
from io import BytesIO

import pytest
from PIL import Image, ImageCms, ImageDraw

from studio import delivered, labels
from studio.domain.errors import Invalid
from tests.factories import PRESETS

XMP = labels.xmp_packet(producer="studio", produce_id="1")


def noisy(width: int, height: int) -> Image.Image:
    """As hard to compress as a picture gets, at half the resolution."""
    size = (width // 2 + 1, height // 2 + 1)
    return Image.frombytes("RGB", size, random.Random(1).randbytes(size[0] * size[1] * 3)).resize((width, height))


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("key", sorted(PRESETS))
def test_every_preset_gets_its_pixels_bytes_profile_and_label(key: str) -> None:
    preset = PRESETS[key]
    for image in (noisy(preset.width, preset.height), Image.new("RGB", (preset.width, preset.height), "#c8102e")):
        data = delivered.encode(image, "jpeg", preset.max_bytes, XMP)
        found = opened(data)
        assert (found.format, found.size, found.mode) == ("JPEG", image.size, "RGB")
        assert not preset.max_bytes or len(data) <= preset.max_bytes
        profile = ImageCms.ImageCmsProfile(BytesIO(found.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
        assert b"AIGC" in data and b"trainedAlgorithmicMedia" in data


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_each_file_type_carries_profile_and_label(kind: str) -> None:
    data = delivered.encode(noisy(200, 100), kind, 0, XMP)
    found = opened(data)
    assert found.format == kind.upper() and found.info.get("icc_profile") and b"AIGC" in data
    if kind == "png":
        assert labels.read_labels(data).aigc


def test_the_best_quality_that_fits_is_taken() -> None:
    image = noisy(400, 400)
    whole = len(delivered.encode(image, "jpeg", 0, XMP))
    sizes = [len(delivered.encode(image, "jpeg", limit, XMP)) for limit in (whole, whole * 3 // 4, whole // 2)]
    assert sizes[0] == whole and sizes[0] > sizes[1] > sizes[2]
    assert sizes[1] > 0.9 * whole * 3 // 4 and sizes[2] > 0.85 * whole // 2


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_what_cannot_fit_is_said(kind: str) -> None:
    with pytest.raises(Invalid, match="can't be delivered within 2 KB"):
        delivered.encode(noisy(400, 400), kind, 2048, XMP)


@pytest.mark.parametrize(("ground", "white"), [
    ("#ffffff", True), ("#fefdfc", True), ("#f5f5f5", False), ("#ffeeee", False)])
def test_a_white_background_is_told_from_a_nearly_white_one(ground: str, white: bool) -> None:
    image = Image.new("RGB", (400, 300), ground)
    ImageDraw.Draw(image).ellipse((60, 60, 340, 240), fill="#c8102e")
    assert delivered.on_white(image) is white


def test_what_reaches_the_border_is_no_white_background() -> None:
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).rectangle((0, 100, 60, 200), fill="black")
    assert not delivered.on_white(image)


def test_the_profile_does_not_say_when_it_was_made() -> None:
    """Else the same picture would be other bytes in another process."""
    made = ImageCms.ImageCmsProfile(BytesIO(delivered._srgb())).profile.creation_date
    assert made is not None and made.year == 2000
