from __future__ import annotations

import pytest

from tests.conftest import Cast
from tests.web.world import World, make_world


@pytest.fixture
def world(cast: Cast) -> World:
    """A campaign with something of everything."""
    return make_world(cast)
