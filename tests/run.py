"""Runs the tests in both shapes, and says what could not run because a service is absent.

First pass: the embedded shape (SQLite, nothing else needed). Second pass, when PostgreSQL answers: everything
that is not about browsers, rendering or the embedded shape, plus the tests of the services themselves.
Arguments go to pytest. The exit code is 0 only when every pass was fine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
NO_TESTS = 5  # pytest's exit code when nothing was selected
POSTGRESQL = os.environ.get("TEST_DATABASE_URL") or "postgres://postgres@127.0.0.1:5432/postgres"
REDIS = os.environ.get("TEST_REDIS_URL") or "redis://127.0.0.1:6379/15"
# What a developer has set for running the studio must not reach the tests.
_OWN = ("VAR_DIR", "DATABASE_URL", "REDIS_URL", "BROKER_URL", "STUDIO_SHAPE", "STORAGE", "SECRET_KEY", "DEBUG", "PORT")


def main(arguments: Sequence[str]) -> int:
    """Run the passes; return the worst exit code."""
    postgresql, redis = _postgresql_answers(), _redis_answers()
    present = {"PostgreSQL": postgresql, "Redis": redis, "Chromium": _chromium() is not None,
               "RabbitMQ": _rabbitmq() is not None}
    no_browser = "" if present["Chromium"] else " and not browser"
    with tempfile.TemporaryDirectory(prefix="studio-tests-") as folder:
        environment = {name: value for name, value in os.environ.items() if name not in _OWN}
        environment.update(VAR_DIR=f"{folder}/var", DJANGO_SETTINGS_MODULE="zimage_web.settings")
        subprocess.run([sys.executable, "manage.py", "compile_messages"], cwd=ROOT, env=environment, check=True)
        print("== Embedded shape: SQLite", flush=True)
        code, skipped = _pytest(f"not services{no_browser}", arguments, environment, Path(folder) / "embedded.xml")
        codes = [code]
        if postgresql:
            environment["DATABASE_URL"] = _own_database(POSTGRESQL)
            if redis:
                environment["REDIS_URL"] = REDIS
            print(f"== PostgreSQL, {'Redis' if redis else 'no Redis'}", flush=True)
            alike = "not browser and not embedded_only and not render"
            wanted = f"(services or ({alike})){no_browser}" if redis else f"{alike} and not services"
            code, more = _pytest(wanted, arguments, environment, Path(folder) / "services.xml")
            # With a narrow selection of the caller's, nothing may be left for this pass.
            codes.append(0 if code == NO_TESTS else code)
            skipped += more
    _report(present, skipped)
    return max(codes)


def _pytest(wanted: str, arguments: Sequence[str], environment: dict[str, str], report: Path) -> tuple[int, int]:
    """Run one pass; return pytest's exit code and how many tests skipped themselves."""
    workers = max(2, min(4, os.cpu_count() or 2))
    code = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", str(workers), "--dist", "loadgroup", "-m", wanted,
         f"--junitxml={report}", *arguments],
        cwd=ROOT, env=environment, check=False).returncode
    if not report.exists():
        return code, 0
    suites = ElementTree.parse(report).getroot().iter("testsuite")
    return code, sum(int(suite.get("skipped", "0")) for suite in suites)


def _report(present: dict[str, bool], skipped: int) -> None:
    not_run = {
        "PostgreSQL": "the tests against PostgreSQL, races under real row locks among them",
        "Redis": "the tests that need a Redis server",
        "Chromium": "the tests in a real browser",
        "RabbitMQ": "the faults with RabbitMQ as broker",
    }
    for name, here in present.items():
        if not here:
            print(f"Services: {name} is absent; not run: {not_run[name]}.")
    if all(present.values()):
        print(f"Services: {', '.join(present)} all present"
              + (": nothing skipped." if not skipped else f"; {skipped} skipped for the reasons listed above."))


def _postgresql_answers() -> bool:
    import psycopg

    try:
        psycopg.connect(POSTGRESQL, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def _own_database(url: str) -> str:
    """`url` with a database name of this checkout's own: two checkouts can be tested at once."""
    return urlsplit(url)._replace(path=f"/studio_{zlib.crc32(os.fsencode(ROOT)):08x}").geturl()


def _redis_answers() -> bool:
    import redis

    try:
        with redis.Redis.from_url(REDIS, socket_connect_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _chromium() -> str | None:
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def _rabbitmq() -> str | None:
    return shutil.which("rabbitmq-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/lib/rabbitmq/bin")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
