"""Log files of the children: kept for a few starts, cut before they fill the disk, shown where it matters."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

KEPT = 3
MAX_BYTES = 20 * 2**20
_LEVEL = re.compile(rb"(?:\S+ )?\[?(debug|info|warning|error|critical) *\]?[: ]", re.IGNORECASE)
_SHOWN = {b"warning", b"error", b"critical"}


def rotate(log: Path, *, kept: int = KEPT) -> None:
    """Move `log` to `log.1`, `log.1` to `log.2` and so on; at most `kept` old ones stay."""
    if log.exists():
        _make_way(log, kept)
        log.replace(_numbered(log, 1))


class LogTail:
    """Follows one log file and picks the lines for the console: warnings, errors and their tracebacks."""

    def __init__(self, log: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self._log = log
        self._max_bytes = max_bytes
        self._at = 0
        self._rest = b""
        self._showing = False

    def lines(self) -> list[str]:
        """The lines to show that were written since the last call."""
        try:
            size = self._log.stat().st_size
        except FileNotFoundError:
            return []
        if size == self._at:
            return []
        with self._log.open("rb") as file:
            file.seek(self._at)
            text = self._rest + file.read()
            self._at = file.tell()
        *whole, self._rest = text.split(b"\n")
        if self._at > self._max_bytes:
            self._cut()
        return [line.decode(errors="replace") for line in whole if self._is_shown(line)]

    def _is_shown(self, line: bytes) -> bool:
        level = _LEVEL.match(line)
        if level:
            self._showing = level[1].lower() in _SHOWN
        elif line.startswith(b"Traceback (most recent call last)"):
            self._showing = True
        return self._showing and bool(line.strip())

    def _cut(self) -> None:
        # The child keeps its file open for appending, so the file is copied and emptied, never moved.
        _make_way(self._log, KEPT)
        shutil.copyfile(self._log, _numbered(self._log, 1))
        os.truncate(self._log, 0)
        self._at = 0


def _make_way(log: Path, kept: int) -> None:
    for number in range(kept, 1, -1):
        newer = _numbered(log, number - 1)
        if newer.exists():
            newer.replace(_numbered(log, number))


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
