"""A whole studio in a folder of its own, for journeys and benchmarks: `make run` without make."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Settings of the caller that would lead this studio to other services.
OTHERS = ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "STUDIO_SHAPE", "DJANGO_SETTINGS_MODULE")
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Stack:
    """A running studio: its address, its data folder, its demo sign-ins by role."""

    url: str
    var: Path
    logins: dict[str, dict[str, str]]
    supervisor: subprocess.Popen[str]


def free_port() -> int:
    """A port on the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(**environment: str) -> Iterator[Stack]:
    """Start a studio with the demo model; stop it, whatever happened, and remove its folder.

    Raises RuntimeError with what it printed when it does not get ready.
    """
    with tempfile.TemporaryDirectory(prefix="studio-") as folder:
        port = free_port()
        settings = {name: value for name, value in os.environ.items() if name not in OTHERS}
        settings |= {"VAR_DIR": folder, "LOG_LEVEL": "INFO", **environment}
        supervisor = subprocess.Popen(
            [sys.executable, "manage.py", "runstudio", "--port", str(port)], cwd=ROOT, env=settings,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            _wait(supervisor)
            saved: dict[str, Any] = json.loads((Path(folder) / "demo-logins.json").read_text(encoding="utf-8"))
            yield Stack(saved["url"], Path(folder), {a["role"]: a for a in saved["accounts"]}, supervisor)
        finally:
            supervisor.send_signal(signal.SIGTERM)
            supervisor.communicate(timeout=20)


def _wait(supervisor: subprocess.Popen[str]) -> None:
    """Read until the ready line."""
    assert supervisor.stdout is not None
    said = []
    for line in supervisor.stdout:
        said.append(line)
        if "Studio ready" in line:
            return
    raise RuntimeError(f"the studio did not start:\n{''.join(said)}")
