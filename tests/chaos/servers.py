"""Redis, PostgreSQL and RabbitMQ of one's own: in a folder, on loopback ports, to be killed without harming anybody."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from glob import glob
from pathlib import Path

from studio.supervisor import redis
from studio.supervisor.child import Child, Guard, Program
from tests.stack import free_port

START_SECONDS = 60.0


def wait(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Until it holds. Raises RuntimeError after `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not in {seconds:.0f} s: {what}")
        time.sleep(0.05)


class Server:
    """A process that is started, killed and started again. `answers` says whether it takes work."""

    def __init__(
        self, name: str, command: tuple[str, ...], folder: Path, guard: Guard, *,
        answers: Callable[[], bool], environment: Mapping[str, str] | None = None,
    ) -> None:
        self.log = folder / f"{name}.log"
        self._answers, self._name = answers, name
        self._child = Child(Program(
            name=name, command=command, log=self.log, environment=environment or os.environ, folder=folder), guard)

    def start(self) -> None:
        """Start it; returns once it answers."""
        self._child.start()
        wait(self._up, f"{self._name} answers")

    def _up(self) -> bool:
        if ended := self._child.reap():
            raise RuntimeError(f"{self._name} ended ({ended}):\n{self.log.read_text(errors='replace')[-3000:]}")
        return self._answers()

    def kill(self) -> None:
        """kill -9, with all its children."""
        self._child.kill()


class Redis:
    """A Redis behind a socket, as `runstudio` starts it."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        self._run, self._data = folder / "r", folder / "redis"
        for path in (self._run, self._data):
            path.mkdir(mode=0o700)
        command = redis.command(redis.binary(), folder=self._run, data=self._data)
        self._server = Server("redis", command, folder, guard, answers=lambda: redis.answers(self._run))
        self.url, self.broker_url = redis.urls(self._run)

    def start(self) -> None:
        """Returns once it answers."""
        self._server.start()

    def stop(self) -> None:
        """kill -9."""
        self._server.kill()

    def lose_everything(self) -> None:
        """kill -9, and its data is gone when it comes back."""
        self._server.kill()
        redis.forget(self._data)
        time.sleep(1)
        self._server.start()


class PostgreSQL:
    """A cluster of its own, run by the user `postgres` where this process is root."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        binaries = postgresql_folder()
        assert binaries is not None, "ask postgresql_folder() first"
        self._port, data = free_port(), folder / "postgresql"
        as_user: tuple[str, ...] = ()
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            folder.chmod(0o711)  # its way to the data
            shutil.chown(data, "postgres", "postgres")
            as_user = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
        subprocess.run(
            [*as_user, str(binaries / "initdb"), "-D", str(data), "-U", "studio", "--auth=trust", "--encoding=UTF8",
             "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
            cwd="/", check=True, stdout=subprocess.DEVNULL)
        # Without fsync: what a killed server has written, the kernel still holds. Only a power cut would lose it.
        command = (*as_user, str(binaries / "postgres"), "-D", str(data), "-p", str(self._port), "-h", "127.0.0.1",
                   "-k", "", "-c", "max_connections=200", "-c", "fsync=off")
        self._stop = [*as_user, str(binaries / "pg_ctl"), "-D", str(data), "-s", "-m", "immediate", "stop"]
        self._server = Server("postgres", command, folder, guard, answers=self._takes_queries)
        self.url = f"postgres://studio@127.0.0.1:{self._port}/postgres"

    def _takes_queries(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def start(self) -> None:
        """Returns once it takes queries."""
        self._server.start()

    def stop(self) -> None:
        """At once, in the middle of everything: it recovers from its log when it starts again."""
        # Not kill -9: its backends are groups of their own, and would keep the memory that the next one needs.
        subprocess.run(self._stop, cwd="/", check=False)
        self._server.kill()

    def crash(self) -> None:
        """Stop, and start again a moment later."""
        self.stop()
        time.sleep(1)
        self._server.start()


class RabbitMQ:
    """A broker with a node name, ports and folders of its own, and an epmd for itself."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        home = folder / "rabbitmq"
        home.mkdir(mode=0o700)
        self._port, epmd, distribution = free_port(), free_port(), free_port()
        (home / "rabbitmq.conf").write_text(
            f"listeners.tcp.local = 127.0.0.1:{self._port}\nlog.console.level = warning\n", encoding="utf-8")
        (home / "enabled_plugins").write_text("[].\n", encoding="utf-8")
        environment = os.environ | {
            "HOME": str(home), "RABBITMQ_NODENAME": f"chaos{self._port}@localhost",
            "RABBITMQ_DIST_PORT": str(distribution), "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"), "RABBITMQ_LOGS": "-", "RABBITMQ_PID_FILE": str(home / "pid"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"), "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"), "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1"}
        self._epmd = Server(
            "epmd", (shutil.which("epmd") or "epmd", "-port", str(epmd), "-address", "127.0.0.1"), folder, guard,
            answers=lambda: _listens(epmd), environment=environment)
        command = (str(rabbitmq_server()),)
        self._server = Server(
            "rabbitmq", command, folder, guard, answers=self._takes_messages, environment=environment)
        self.url = f"amqp://guest:guest@127.0.0.1:{self._port}//"

    def _takes_messages(self) -> bool:
        from kombu.connection import Connection
        from kombu.exceptions import OperationalError

        if not _listens(self._port):
            return False
        try:
            with Connection(  # type: ignore[no-untyped-call]  # kombu is typed in part
                self.url, connect_timeout=2,
            ) as connection:
                connection.ensure_connection(max_retries=1, timeout=2)
        except (OperationalError, OSError):
            return False
        return True

    def start(self) -> None:
        """Returns once it takes messages."""
        self._epmd.start()
        self._server.start()

    def stop(self) -> None:
        """kill -9 of both."""
        self._server.kill()
        self._epmd.kill()

    def crash(self) -> None:
        """kill -9, and start again: what the quorum queue held is still there."""
        self._server.kill()
        self._server.start()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def postgresql_folder() -> Path | None:
    """The folder with `initdb`, of the newest PostgreSQL here; None where there is none."""
    found = [Path(path).parent for path in glob("/usr/lib/postgresql/*/bin/initdb")]
    found.sort(key=lambda path: int(path.parent.name) if path.parent.name.isdecimal() else 0)
    on_path = shutil.which("initdb")
    return found[-1] if found else (Path(on_path).resolve().parent if on_path else None)


def rabbitmq_server() -> Path | None:
    """The script that starts a node as this user; None where RabbitMQ is absent."""
    # /usr/sbin/rabbitmq-server changes to the system's user and reads the system's settings.
    found = next(iter(glob("/usr/lib/rabbitmq/bin/rabbitmq-server")), "") or shutil.which("rabbitmq-server")
    return Path(found) if found and shutil.which("epmd") else None
