"""A real S3 server for tests: SeaweedFS, on free loopback ports, in a folder of its own."""

from __future__ import annotations

import json
import os
import runpy
import socket
import subprocess
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from studio.supervisor.child import Guard

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 30.0
_PORTS = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
          "filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc")


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server: its address, its one bucket, the one key it knows, and a client that may do anything."""

    url: str
    bucket: str
    access_key: str
    secret_key: str
    client: Any


def settings_from(**variables: str) -> dict[str, Any]:
    """What zimage_web/settings.py makes of these variables, with STORAGE=s3. Raises ImproperlyConfigured."""
    with mock.patch.dict(os.environ), mock.patch("zimage_web.logs.configure"):
        for name in [name for name in os.environ if name.startswith("S3_")]:
            del os.environ[name]
        os.environ.update(variables, STORAGE="s3")
        return runpy.run_path(str(ROOT / "zimage_web" / "settings.py"))


def fetch(url: str) -> tuple[int, str, bytes]:
    """Status, content type and body of a GET without a session."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, "", error.read()


class _Raw:
    """The body of a made-up answer."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def stream(self, *args: object, **options: object) -> Iterator[bytes]:
        yield self.body


def answer(status: int, code: str = "") -> AWSResponse:
    """What another store than this server would say; for botocore's `before-send` event."""
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode() if code else b""
    return AWSResponse("http://127.0.0.1", status, {}, _Raw(body))


def is_here() -> bool:
    """Whether the server's package is installed: it has no build for some machines."""
    return _program().exists()


@contextmanager
def running() -> Iterator[S3Server]:
    """Start a server with an empty bucket; end it and remove its folder, whatever happened.

    Raises RuntimeError with what it printed when it does not get ready.
    """
    with tempfile.TemporaryDirectory(prefix="s3-", ignore_cleanup_errors=True) as name:
        folder, ports = Path(name), _free_ports()
        server = _server(f"http://127.0.0.1:{ports['s3.port']}")
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                _command(folder, ports, server), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                cwd=folder, start_new_session=True)
        guard = Guard()  # for the case that this process is killed
        guard.add(process.pid)
        try:
            _wait(process, server, log)
            yield server
        finally:
            process.kill()  # its data is thrown away; asked politely it takes 15 s
            process.wait()
            guard.remove(process.pid)
            guard.close()
            for role in ("master", "volume", "filer", "s3"):  # it takes no other place for these
                Path(f"/tmp/seaweedfs-{role}-grpc-{ports[f'{role}.port.grpc']}.sock").unlink(missing_ok=True)


def _program() -> Path:
    return Path(sysconfig.get_path("scripts"), "weed")


def _server(url: str) -> S3Server:
    access, secret = "studio", "studio-test-secret"
    client = boto3.Session(aws_access_key_id=access, aws_secret_access_key=secret, region_name="us-east-1").client(
        "s3", endpoint_url=url, config=Config(
            signature_version="s3v4", s3={"addressing_style": "path"}, connect_timeout=2, read_timeout=10,
            retries={"total_max_attempts": 1}))
    return S3Server(url, "pictures", access, secret, client)


def _command(folder: Path, ports: dict[str, int], server: S3Server) -> list[str]:
    data, access = folder / "data", folder / "access.json"
    data.mkdir()
    access.write_text(json.dumps({"identities": [{
        "name": "studio", "actions": ["Admin", "Read", "Write", "List"],
        "credentials": [{"accessKey": server.access_key, "secretKey": server.secret_key}]}]}), encoding="utf-8")
    return [
        str(_program()), f"-logdir={folder}", "server", "-s3", f"-dir={data}",
        "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false", "-volume.max=8",
        f"-s3.config={access}", "-s3.autoCreateBucket=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
        f"-s3.localSocket={folder / 's3.sock'}", f"-filer.localSocket={folder / 'filer.sock'}",
        *(f"-{name}={port}" for name, port in ports.items())]


def _free_ports() -> dict[str, int]:
    """Different ports on the loopback address that nobody listens on now."""
    with ExitStack() as probes:
        found = {}
        for name in _PORTS:
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            found[name] = int(probe.getsockname()[1])
        return found


def _wait(process: subprocess.Popen[bytes], server: S3Server, log: Path) -> None:
    """Make the bucket, and wait until an object can be written: the ports answer seconds before that."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            if not server.client.list_buckets()["Buckets"]:
                server.client.create_bucket(Bucket=server.bucket)
            server.client.put_object(Bucket=server.bucket, Key="ready", Body=b"x")
            server.client.delete_object(Bucket=server.bucket, Key="ready")
            return
        except (BotoCoreError, ClientError) as error:
            if process.poll() is not None or time.monotonic() > end:
                said = log.read_text(encoding="utf-8", errors="replace")[-4000:]
                raise RuntimeError(f"the S3 server did not start ({error}):\n{said}") from error
        time.sleep(0.1)
