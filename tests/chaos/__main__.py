"""`python -m tests.chaos`: renders while everything fails, then a table of what failed and what became of it.

Each shape runs in a process of its own, with servers of its own. The exit code is 0 when all holds.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from secrets import randbelow
from urllib.parse import urlsplit

from studio.supervisor.child import Guard
from tests.chaos import disk, servers
from tests.chaos.line import Line
from tests.stack import OTHERS, ROOT

SHAPES = ("redis", "rabbitmq", "embedded")
#: Of the small disk: room for the database, its log, and all pictures.
DISK_MB = 96


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what. `seconds`: over how long the pictures are asked for, and things go wrong."""

    pictures: int
    poisoned: int
    seconds: float
    step_ms: int
    away_seconds: float


SHORT = Plan(pictures=60, poisoned=1, seconds=16, step_ms=60, away_seconds=2.5)
LONG = Plan(pictures=300, poisoned=3, seconds=120, step_ms=100, away_seconds=6)


def absent(shape: str) -> str:
    """Why the shape can't run here; empty when it can."""
    if shape != "embedded" and servers.postgresql_folder() is None:
        return "PostgreSQL is absent"
    if shape == "rabbitmq" and servers.rabbitmq_server() is None:
        return "RabbitMQ is absent"
    return ""


def main() -> int:
    """Run the shapes that are asked for, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, action="append", help="default: all of them")
    parser.add_argument("--short", action="store_true", help="the form that is part of the tests")
    parser.add_argument("--seed", type=int, default=randbelow(10**6), help="of what happens when")
    parser.add_argument("--keep", type=Path, help="a folder that gets the logs")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.here:
        return run(wanted.shape[0], SHORT if wanted.short else LONG, wanted.seed, wanted.keep)
    codes = []
    for shape in wanted.shape or SHAPES:
        if reason := absent(shape):
            print(f"== {shape}: not run, {reason}", flush=True)
            continue
        codes.append(subprocess.run(
            [sys.executable, "-m", "tests.chaos", "--here", "--shape", shape, "--seed", str(wanted.seed),
             *(["--short"] if wanted.short else []), *(["--keep", str(wanted.keep)] if wanted.keep else [])],
            cwd=ROOT, check=False).returncode)
    return max(codes, default=0)


def run(shape: str, plan: Plan, seed: int, keep: Path | None) -> int:
    """Start servers, set the environment, and go on in `story`, which needs Django."""
    print(f"== {shape}: seed {seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # so that the small disk is taken down, too
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True)))
        if keep:
            held.callback(_keep_logs, folder, keep / shape)
        var = folder / "v"
        full = held.enter_context(disk.small(var, DISK_MB)) if shape != "redis" else False
        guard = Guard()
        held.callback(guard.close)
        redis = servers.Redis(folder if shape != "embedded" else var, guard)
        postgresql = servers.PostgreSQL(folder, guard) if shape != "embedded" else None
        rabbitmq = servers.RabbitMQ(folder, guard) if shape == "rabbitmq" else None
        for server in (redis, postgresql, rabbitmq):
            if server:
                held.callback(server.stop)
                server.start()
        environment = {
            "VAR_DIR": str(var), "DJANGO_SETTINGS_MODULE": "tests.chaos.settings", "REDIS_URL": redis.url,
            "BROKER_URL": rabbitmq.url if rabbitmq else redis.broker_url, "HTTPS_ONLY": "False",
            "STUDIO_SHAPE": "production" if postgresql else "embedded", "LEASE_SECONDS": "4", "LOG_LEVEL": "INFO",
            "CHAOS_STEP_MS": str(plan.step_ms), "CHAOS_HINTS": "0.1", "PYTHONDONTWRITEBYTECODE": "1"}
        if postgresql:
            environment["DATABASE_URL"] = postgresql.url
        store = _store(held, environment) if shape == "redis" else None
        if shape == "redis" and store is None:
            print("left out: storage faults (the S3 server is absent)")
        if shape != "redis" and not full:
            print("left out: disk full (this process may not mount a small disk)")
        for name in (*OTHERS, "MODEL_DIR", "STORAGE"):
            os.environ.pop(name, None)
        os.environ.update(environment)

        from tests.chaos import story

        return story.tell(
            folder=folder, plan=plan, seed=seed, guard=guard, redis=redis, postgresql=postgresql, rabbitmq=rabbitmq,
            store=store, disk=var if full else None)


def _store(held: ExitStack, environment: dict[str, str]) -> Line | None:
    """An S3 server behind a line that can be cut; None where the server is absent."""
    from tests import s3_server

    if not s3_server.is_here():
        return None
    server = held.enter_context(s3_server.running())
    address = urlsplit(server.url)
    line = Line((str(address.hostname), int(address.port or 0)))
    environment.update({
        "STORAGE": "s3", "S3_BUCKET": server.bucket, "S3_ACCESS_KEY": server.access_key,
        "S3_SECRET_KEY": server.secret_key, "S3_ENDPOINT_URL": f"http://127.0.0.1:{line.port}",
        "S3_REGION": "us-east-1", "S3_ADDRESSING": "path"})
    return line


def _keep_logs(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for log in [*folder.glob("*.log"), *folder.glob("logs/*.log*"), *folder.glob("v/*.log")]:
        shutil.copy(log, target)


if __name__ == "__main__":
    sys.exit(main())
