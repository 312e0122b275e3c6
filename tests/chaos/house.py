"""The studio's processes: three render workers, two web processes, upkeep. What ends is started again."""

from __future__ import annotations

import http.client
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType

from studio.supervisor.child import Child, Guard, Program
from tests.chaos.servers import wait
from tests.stack import ROOT, free_port

WORKERS = 3
WEBS = 2


class Part(Child):
    """A child that can also be frozen."""

    def freeze(self, seconds: float) -> None:
        """Stop it for so long: longer than a lease, and its job is somebody else's."""
        self._signal_group(signal.SIGSTOP)
        time.sleep(seconds)
        self._signal_group(signal.SIGCONT)


class House:
    """Starts the parts and keeps them: a part that has ended starts again after a moment."""

    def __init__(
        self, folder: Path, guard: Guard, environment: Mapping[str, str] = MappingProxyType({}), *,
        workers: int = WORKERS, webs: int = WEBS,
    ) -> None:
        self.ports = [free_port() for _ in range(webs)]
        self.ended: Counter[str] = Counter()
        self.lock = threading.Lock()
        self._closing = threading.Event()
        environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        python = (sys.executable, "-m")
        celery = (*python, "celery", "-A", "zimage_web", "worker", "--loglevel", "INFO", "--without-gossip",
                  "--without-mingle")

        def part(name: str, *command: str, **extra: str) -> Part:
            return Part(Program(name=name, command=command, log=folder / "logs" / f"{name}.log",
                                environment=environment | extra, folder=ROOT), guard)

        self.workers = [
            part(f"worker-{n}", *celery, "-Q", "render", "--pool", "solo", "-n", f"{folder.name}-{n}@localhost",
                 WORKER_NAME=f"worker-{n}") for n in range(1, workers + 1)]
        self.webs = [
            part(f"web-{n}", *python, "uvicorn", "zimage_web.asgi:application", "--host", "127.0.0.1", "--port",
                 str(port), "--timeout-graceful-shutdown", "5", "--lifespan", "off", "--no-access-log")
            for n, port in enumerate(self.ports, start=1)]
        self.upkeep = part(
            "upkeep", *celery, "-Q", "upkeep", "--pool", "threads", "-c", "1", "-n", f"{folder.name}-u@localhost",
            "--beat", "-s", str(folder / "beat"))
        self._parts = [*self.webs, *self.workers, self.upkeep]
        self._keeper = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Start all; returns once both web processes answer. The workers come by themselves."""
        for part in self._parts:
            part.start()
        self._keeper.start()
        wait(lambda: all(answers(port) for port in self.ports), "the web processes answer", 120)

    def _keep(self) -> None:
        while not self._closing.wait(0.2):
            with self.lock:
                for part in self._parts:
                    if how := part.reap():
                        self.ended[f"{part.program.name.partition('-')[0]}: {how}"] += 1
                        part.start()

    def kill(self, part: Part) -> None:
        """kill -9; the keeper starts it again."""
        with self.lock:
            part._signal_group(signal.SIGKILL)

    def close(self) -> None:
        """End everything."""
        self._closing.set()
        self._keeper.join()
        for part in self._parts:
            part.kill()


def answers(port: int) -> bool:
    """Whether a web process answers there."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=2)) as client:
        try:
            client.request("GET", "/healthz")
            return client.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
