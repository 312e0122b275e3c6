"""At which size the model renders what is delivered."""

from __future__ import annotations

import pytest

from studio.domain.modelcard import ModelCard

DEMO = ModelCard("Demo", demo=True, native_side=256, max_pixels=256 * 256, multiple=32)


SIZES = [(800, 800), (1080, 1440), (728, 90), (90, 728), (16, 16), (4096, 4096)]


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_a_render_from_a_picture_keeps_its_shape_in_whole_cells(width: int, height: int) -> None:
    """Sides of 16 were refused by a VAE that shrinks 16 times: 224 × 304 for a picture of 3:4."""
    found = DEMO.render_size(width, height, from_picture=True)
    assert all(side % 32 == 0 and side >= 64 for side in found)
    if min(found) > 64:
        assert abs(found[0] / found[1] - width / height) < 0.2 * width / height
    assert DEMO.render_size(width, height) == (256, 256)
