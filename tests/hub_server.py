"""A model hub on the loopback address that speaks enough of Hugging Face's API for its client library."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

SHA = "a" * 40


class Hub(ThreadingHTTPServer):
    """Serves one folder as the repository `repo`. `requests` are (method, path, Range header)."""

    daemon_threads = True

    def __init__(self, repo: str, folder: Path) -> None:
        self.repo, self.folder = repo, folder
        self.requests: list[tuple[str, str, str]] = []
        #: Of what is sent, one bit is flipped.
        self.lies = False
        #: A file (by its path in the repository) whose line breaks half-way, after which the hub refuses it.
        self.breaks = ""
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


@contextmanager
def running(repo: str, folder: Path) -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    hub = Hub(repo, folder)
    thread = Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        hub, path = self.server, self.path.partition("?")[0]
        hub.requests.append((self.command, path, self.headers.get("Range", "")))
        names = [file.relative_to(hub.folder).as_posix() for file in hub.files()]
        if re.fullmatch(rf"/api/models/{hub.repo}(/revision/[^/]+)?", path):
            self._json({"id": hub.repo, "modelId": hub.repo, "sha": SHA, "private": False, "tags": [], "downloads": 0,
                        "likes": 0, "siblings": [{"rfilename": name} for name in names]})
        elif path.startswith(f"/api/models/{hub.repo}/tree/"):
            self._json([_entry(name, file) for name, file in zip(names, hub.files(), strict=True)])
        elif path.startswith(f"/{hub.repo}/resolve/") and path.split("/", 5)[5] in names:
            self._file(path.split("/", 5)[5])
        else:
            self._head(404, 0, {"X-Error-Code": "RepoNotFound"})

    def _file(self, name: str) -> None:
        hub, file = self.server, self.server.folder / name
        data = bytearray(file.read_bytes())
        data[0] ^= hub.lies
        headers = {"ETag": f'"{_digest(file)}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        if hub.breaks == f"{name}!" and self.command == "GET":
            self._head(403, 0, {})
            return
        start, status = 0, 200
        if found := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start, status = int(found[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        self._head(status, len(data) - start, headers)
        if self.command != "GET":
            return
        if hub.breaks == name:
            hub.breaks = f"{name}!"
            self.wfile.write(data[:len(data) // 2])
            self.close_connection = True
            return
        self.wfile.write(data[start:])

    def _json(self, found: object) -> None:
        data = json.dumps(found).encode()
        self._head(200, len(data), {"Content-Type": "application/json"})
        if self.command == "GET":
            self.wfile.write(data)

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(length)} | headers).items():
            self.send_header(name, value)
        self.end_headers()


def _entry(name: str, file: Path) -> dict[str, object]:
    """As the hub lists it: weights by their SHA-256, the rest by git's sum."""
    data = file.read_bytes()
    found: dict[str, object] = {"type": "file", "path": name, "size": len(data),
                                "oid": hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()}
    if name.endswith(".safetensors"):
        found["lfs"] = {"oid": _digest(file), "size": len(data), "pointerSize": 134}
    return found


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
