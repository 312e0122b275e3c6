"""What must hold before the studio starts. Each refusal is one line for the person at the console."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = "127.0.0.1"
MIN_FREE_BYTES = 500 * 10**6
#: The kernel's limit for a socket's path is 108 bytes on Linux, 104 on macOS, with its end mark.
MAX_SOCKET_PATH = 100


class Refused(Exception):
    """The studio can't start. The text says what is wrong and what to do."""


def port_is_free(port: int) -> None:
    """Raise Refused when nobody could listen on `port` of the loopback address."""
    if not 1 <= port <= 65535:
        raise Refused(f"PORT={port}: use a number from 1 to 65535, for example PORT=8001 make run")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except PermissionError:
            raise Refused(f"Port {port} needs more rights than you have; use PORT=8000 make run") from None
        except OSError as error:
            other = port + 1 if port < 65535 else 8000
            if error.errno == errno.EADDRINUSE:
                raise Refused(f"Port {port} is taken by another program; use PORT={other} make run") from None
            raise Refused(f"Port {port} can't be used: {error.strerror}; use PORT={other} make run") from None


def disk_has_room(folder: Path, *, free_bytes: int = MIN_FREE_BYTES) -> None:
    """Raise Refused when `folder` can't be made or written, or its disk has less than `free_bytes` left."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < free_bytes:
            raise Refused(
                f"The disk of {folder} is full: {free // 10**6} MB free, {free_bytes // 10**6} MB needed. "
                "Free some space, or set VAR_DIR to a folder on another disk.")
        # A quota or a read-only mount shows only when something is written.
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(bytes(1 << 16))
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise Refused(f"{folder} can't be written: {reason}. Make room, or set VAR_DIR to another folder.") from None


@contextmanager
def only_one(file: Path) -> Iterator[None]:
    """Hold `file` locked. Raises Refused while another studio holds it; the kernel frees it when that one ends."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise Refused(
                f"The studio already runs on {file.parent.parent} (process {handle.read().strip() or 'unknown'}). "
                "Stop it first, or set VAR_DIR to another folder.") from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


@contextmanager
def socket_folder(preferred: Path) -> Iterator[Path]:
    """A private folder for `redis.sock`: `preferred`, or a temporary one where that path can't be used.

    Socket paths have a short limit in the kernel, and they travel in URLs, so only plain characters will do.
    """
    path = str(preferred / "redis.sock")
    if len(os.fsencode(path)) < MAX_SOCKET_PATH and re.fullmatch(r"[A-Za-z0-9/._-]+", path):
        preferred.mkdir(mode=0o700, parents=True, exist_ok=True)
        preferred.chmod(0o700)
        yield preferred
        return
    base = tempfile.gettempdir()
    short = tempfile.mkdtemp(prefix="studio-", dir=base if len(os.fsencode(base)) < 60 else "/tmp")
    try:
        yield Path(short)
    finally:
        shutil.rmtree(short, ignore_errors=True)
