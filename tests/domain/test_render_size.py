"""At which size the model renders what is delivered."""

from __future__ import annotations

from typing import Any

import pytest

from studio.domain.modelcard import ModelCard
from tests.factories import PRESETS, TRAINED

ONE = ModelCard("One size", sizes=((256, 256),), max_pixels=256 * 256, multiple=32)
COARSE = ModelCard("Any size", max_pixels=512 * 512, multiple=64)

SIZES = [(800, 800), (1080, 1440), (1080, 1920), (1000, 1500), (1200, 628), (970, 250), (728, 90), (90, 728),
         (160, 600), (300, 250), (300, 800), (16, 16), (256, 16), (16, 256), (4096, 4096), (4096, 256), (3000, 2000)]


@pytest.mark.parametrize("card", [ONE, TRAINED, COARSE], ids=lambda card: card.name)
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_render_from_a_picture_keeps_its_shape_in_whole_cells(card: ModelCard, width: int, height: int) -> None:
    """Sides of 16 were refused by a VAE that shrinks 16 times: 224 × 288 for a picture of 3:4."""
    found = card.render_size(width, height, from_picture=True)
    assert all(side % card.multiple == 0 and side >= 64 for side in found)
    assert found[0] * found[1] <= card.max_pixels
    assert abs(found[0] / found[1] - width / height) < 0.1 * width / height
    assert card.renders(*found, from_picture=True)
    assert card.render_size(height, width, from_picture=True) == (found[1], found[0])


def test_a_render_from_a_picture_has_about_as_many_pixels_as_it() -> None:
    assert TRAINED.render_size(448, 576, from_picture=True) == (448, 576)
    assert TRAINED.render_size(728, 90, from_picture=True) == (1024, 128)  # 768 × 128 would cover it, a third too high
    assert TRAINED.render_size(320, 50, from_picture=True) == (320, 64)  # 14 rows are cropped
    assert TRAINED.render_size(16, 16, from_picture=True) == (64, 64)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_model_of_one_size_renders_all_words_at_it(width: int, height: int) -> None:
    assert ONE.render_size(width, height) == (256, 256)


@pytest.mark.parametrize(("rendered", "targets"), [
    ((512, 512), [(1080, 1080), (800, 800), (1600, 1600), (16, 16)]),
    ((448, 576), [(1080, 1440), (1080, 1350), (750, 1000)]), ((576, 448), [(300, 250)]),
    ((384, 640), [(1080, 1920), (1000, 1500)]),
    ((640, 384), [(1920, 1080), (1280, 720), (1200, 675), (1200, 628), (1080, 608)]),
    ((768, 320), [(900, 383)]), ((832, 256), [(970, 250), (1920, 600)]),
    ((1024, 128), [(728, 90), (320, 50), (4096, 256)]), ((192, 704), [(160, 600), (16, 256)]),
])
def test_words_are_rendered_at_the_trained_size_nearest_in_shape(
    rendered: tuple[int, int], targets: list[tuple[int, int]]
) -> None:
    assert {TRAINED.render_size(*target) for target in targets} == {rendered}


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_every_format_is_rendered_at_a_trained_size(preset: Any) -> None:
    assert TRAINED.render_size(preset.width, preset.height) in TRAINED.sizes


def test_of_two_trained_sizes_as_near_the_larger_is_taken() -> None:
    alike = ModelCard("Alike", sizes=((256, 256), (512, 512), (320, 320)))
    assert alike.render_size(100, 100) == (512, 512)
    around = ModelCard("Around", sizes=((384, 640), (704, 448), (640, 384)))
    assert around.render_size(100, 100) == (704, 448)
    assert ModelCard("Turned", sizes=((320, 640), (768, 384))).render_size(100, 100) == (768, 384)


def test_which_sizes_of_earlier_pictures_are_still_rendered() -> None:
    assert TRAINED.renders(832, 256) and not TRAINED.renders(256, 256)
    assert TRAINED.renders(256, 256, from_picture=True) and not TRAINED.renders(224, 288, from_picture=True)
    assert COARSE.renders(2048, 64) and not COARSE.renders(2048, 96)


def test_a_card_can_be_a_key() -> None:
    assert len({TRAINED, ONE, COARSE, ModelCard("Any size", max_pixels=512 * 512, multiple=64)}) == 3
