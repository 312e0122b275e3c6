from __future__ import annotations

import pytest

from tests.conftest import Cast, make_cast


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """The people, committed: other threads see them."""
    return make_cast()
