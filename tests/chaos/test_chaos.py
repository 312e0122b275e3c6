"""The short form of `make chaos`, in each shape: nothing is lost, nothing is charged twice, nothing is stuck."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.chaos.__main__ import absent
from tests.stack import ROOT

# In the group of the other tests with worker processes: they would slow each other down.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("worker")]


@pytest.mark.parametrize("shape", [
    pytest.param("embedded", marks=pytest.mark.embedded_only),
    pytest.param("redis", marks=pytest.mark.services),
    pytest.param("rabbitmq", marks=pytest.mark.services),
])
def test_all_holds_while_everything_fails(shape: str) -> None:
    if reason := absent(shape):
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--here", "--short", "--shape", shape], cwd=ROOT, capture_output=True,
        text=True, check=False)
    print(done.stdout)  # the seed and the table, for a run that fails
    assert done.returncode == 0 and "all holds" in done.stdout, done.stdout + done.stderr[-3000:]
