"""The request id: one name that finds a render in the logs, from the browser's request to the stored picture.

The web binds it, the batch keeps it, the worker binds it again.
"""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from uuid import uuid4

from structlog import contextvars

#: Longest id that is taken from outside, and column width.
LONGEST = 64
#: Nothing that could end a log line, a header or a shell word.
_WELL_FORMED = re.compile(rf"[A-Za-z0-9._-]{{8,{LONGEST}}}")


def begin(offered: str) -> str:
    """Bind a request id to all that this context logs from here on: `offered` if well-formed, else a new one."""
    request_id = offered if _WELL_FORMED.fullmatch(offered) else uuid4().hex
    # Not undone at the end: Django logs a 404 after the last middleware. The next request begins anew.
    contextvars.clear_contextvars()
    contextvars.bind_contextvars(request_id=request_id)
    return request_id


def bind(**fields: object) -> None:
    """Add `fields` to all that this context logs from here on."""
    contextvars.bind_contextvars(**fields)


def current() -> str:
    """The request id of this context; empty on a command line."""
    return str(contextvars.get_contextvars().get("request_id", ""))


def job(*, request_id: str, job: str, attempt: int) -> AbstractContextManager[None]:
    """While it is held, all that this thread logs is about one attempt at a job."""
    return contextvars.bound_contextvars(request_id=request_id, job=job, attempt=attempt)
