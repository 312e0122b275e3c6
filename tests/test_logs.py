"""What stands in the logs, and what must not."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import logging
import structlog
from zimage_web import logs

logs.configure("INFO", json={json})

def sign_in(password):
    raise ValueError("it failed")

try:
    sign_in("tell-" + "nobody")
except ValueError:
    structlog.get_logger("a").exception("a.failed", frame="142-02")
    logging.getLogger("b").exception("b failed")
logging.getLogger("uvicorn.access").info("GET /")
"""


@pytest.mark.parametrize("json", [False, True])
def test_a_traceback_is_logged_without_the_values_in_it(json: bool) -> None:
    script = SCRIPT.format(json=json)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.count("ValueError: it failed") == 2 and "142-02" in done.stderr
    assert "tell-nobody" not in done.stderr and "GET /" not in done.stderr
