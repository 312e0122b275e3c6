from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny
from tests.checkpoint.files import Files, single_files


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model in diffusers layout."""
    return tiny.build(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def files(tiny_folder: Path, tmp_path: Path) -> Files:
    """The same as single files."""
    return single_files(tiny_folder, tmp_path)
