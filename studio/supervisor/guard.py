"""Kills the studio's processes when the supervisor dies without being able to.

Run as a script; its arguments are the process groups that are there already. The supervisor holds the
other end of standard input and writes one line per process group: `+123` when it starts, `-123` when it
has ended. End of input means that the supervisor is gone, also by kill -9; whatever is still listed is
killed, grandchildren included.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable


def watch(lines: Iterable[str], groups: set[int]) -> None:
    """Read until the supervisor's end closes, then kill `groups` as the lines have changed it."""
    for line in lines:
        number = int(line[1:])
        if line.startswith("+"):
            groups.add(number)
        else:
            groups.discard(number)
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    watch(sys.stdin, {int(group) for group in sys.argv[1:]})
