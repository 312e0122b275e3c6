"""The whole studio on one machine, under one Ctrl-C."""

from __future__ import annotations

import contextlib
import http.client
import json
import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from studio import checkpoint
from studio.domain.errors import ModelUnusable
from studio.management.demo import FirstPictures
from studio.models import Team, Worker
from studio.services import models, workers
from studio.supervisor import checks, redis
from studio.supervisor.checks import HOST, Refused
from studio.supervisor.child import Program
from studio.supervisor.supervisor import Supervisor


class Command(BaseCommand):
    help = "Starts web, one render worker and upkeep on this machine, on the loopback address only."
    requires_system_checks = ()

    #: Only at a start that made the demo.
    _first: FirstPictures | None = None
    _up = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", default="8000", help="Port on 127.0.0.1 (default 8000).")

    def handle(self, *args: object, **options: object) -> None:
        """Run until stopped. Exits with 0 after Ctrl-C or SIGTERM, else with one line of why, and 1."""
        # This console is for people; the programs log to files of their own.
        logging.getLogger("studio").setLevel(logging.WARNING)
        try:
            code = self._run(_port(str(options["port"])))
        except (Refused, CommandError) as refusal:
            sys.exit(str(refusal))
        sys.exit(code)

    def _run(self, port: int) -> int:
        if settings.STUDIO_SHAPE != "embedded":
            raise Refused("runstudio is for one machine: unset STUDIO_SHAPE, or start the processes by themselves.")
        var: Path = settings.VAR_DIR
        checks.disk_has_room(var)
        with ExitStack() as held:
            held.enter_context(checks.only_one(var / "run" / "lock"))
            checks.port_is_free(port)
            programs = self._programs(held, port)
            try:
                if settings.MODEL_DIR_IS_SET:  # no need to make a database for that
                    checkpoint.verify(settings.MODEL_DIR)
                self._prepare(port)
            except ModelUnusable as error:
                raise Refused(f"{error} {error.hint}".strip()) from None
            return Supervisor(
                programs, say=self._say, is_ready=lambda: self._is_ready(port),
                on_ready=lambda: self._welcome(port)).run()

    def _prepare(self, port: int) -> None:
        """Bring translations, tables and the first data up to date, in this process: starting Django costs time."""
        # A pool would retry for 30 s where no PostgreSQL answers, and keep connections and threads for nothing.
        connection.settings_dict["OPTIONS"].pop("pool", None)
        try:
            call_command("compile_messages")
            executor = MigrationExecutor(connection)
            if executor.migration_plan(executor.loader.graph.leaf_nodes()):
                call_command("migrate", interactive=False, verbosity=0)
            if models.active() is None:  # an active one that can't be used is shown on the models page
                checkpoint.verify(settings.MODEL_DIR)
            if not Team.objects.exists():
                self._first = FirstPictures(self._say)
            call_command("bootstrap", url=f"http://{HOST}:{port}", verbosity=0)
            # A studio that was killed could not say goodbye; its worker must not count as ready.
            workers.stopped(settings.WORKER_NAME)
        except (DatabaseError, OSError) as error:
            raise Refused(f"The studio's data can't be prepared: {' '.join(str(error).split())}") from None
        finally:
            connections.close_all()

    def _programs(self, held: ExitStack, port: int) -> list[Program]:
        """Redis, unless REDIS_URL names one, then web, render worker and upkeep, which start side by side."""
        var: Path = settings.VAR_DIR
        environment = {
            **os.environ, "DJANGO_SETTINGS_MODULE": "zimage_web.settings", "STUDIO_SHAPE": "embedded",
            "WORKER_NAME": settings.WORKER_NAME, "VAR_DIR": str(var), "PYTHONUNBUFFERED": "1"}
        programs = []

        def add(name: str, *command: str, essential: bool = False) -> None:
            programs.append(Program(
                name=name, command=command, log=var / "logs" / f"{name}.log", environment=environment,
                folder=settings.BASE_DIR, essential=essential))

        if not settings.REDIS_URL:
            folder = held.enter_context(checks.socket_folder(var / "run"))
            data = var / "redis"
            data.mkdir(parents=True, exist_ok=True)
            redis_url, broker_url = redis.urls(folder)
            environment["REDIS_URL"] = redis_url
            environment["BROKER_URL"] = settings.BROKER_URL or broker_url
            programs.append(Program(
                name="redis", command=redis.command(redis.binary(), folder=folder, data=data),
                log=var / "logs" / "redis.log", environment=environment, folder=settings.BASE_DIR,
                service=True, essential=True,
                answers=lambda: redis.answers(folder), mend=lambda: redis.forget(data)))
        python = (sys.executable, "-m")
        celery = (*python, "celery", "-A", "zimage_web", "worker", "--loglevel", "INFO",
                  "--without-gossip", "--without-mingle")
        add("web", *python, "uvicorn", "zimage_web.asgi:application", "--host", HOST, "--port", str(port),
            "--timeout-graceful-shutdown", "5", "--lifespan", "off", "--no-access-log", "--no-server-header",
            essential=True)
        add("worker", *celery, "-Q", "render", "--pool", "solo", "-n", "render@%h")
        add("upkeep", *celery, "-Q", "upkeep", "--pool", "threads", "-c", "1", "-n", "upkeep@%h",
            "--beat", "-s", str(var / "run" / "beat"))
        return programs

    def _is_ready(self, port: int) -> bool:
        self._up = self._up or _is_up(port)
        return self._up and (self._first is None or self._first.are_there())

    def _welcome(self, port: int) -> None:
        connections.close_all()  # from here on this process only watches
        self._say(f"Studio ready at http://{HOST}:{port}")
        file: Path = settings.VAR_DIR / "demo-logins.json"
        if not file.exists():
            return
        accounts = json.loads(file.read_text(encoding="utf-8"))["accounts"]
        width = max(len(account["email"]) for account in accounts)
        for account in accounts:
            self._say(f"  {account['role']:<10} {account['email']:<{width}}  {account['password']}")
        self._say("Stop with Ctrl-C.")

    def _say(self, line: str) -> None:
        # The console may be gone (a closed terminal): the studio still has to stop in order.
        with contextlib.suppress(OSError, ValueError):
            self.stdout.write(line)
            self.stdout.flush()


def _port(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Refused(f"PORT={text}: use a number from 1 to 65535, for example PORT=8001 make run") from None


def _is_up(port: int) -> bool:
    """Whether a render worker has its model, and the web process answers that all is well."""
    try:
        # Asked here first: until the model is loaded, each early question to /readyz would be logged as an error.
        if not Worker.objects.ready().filter(name=settings.WORKER_NAME).exists():
            return False
    except DatabaseError:
        return False
    with contextlib.closing(http.client.HTTPConnection(HOST, port, timeout=1)) as client:
        try:
            client.request("GET", "/readyz")
            return client.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
