"""Requests whose content type claims a charset that Django would fail on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.utils.http import parse_header_parameters

PLAIN_FORM = "application/x-www-form-urlencoded"
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


def with_text_charset(application: Application) -> Application:
    """Drop a charset such as `zlib`, or any but UTF-8 on a plain form, before Django reads the request.

    Django takes any codec for a charset and fails on the form's fields; a plain form in another
    charset it refuses at every look at its fields, the error page's own look included. Browsers
    send UTF-8 and no charset.
    """

    async def wrapped(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = [(name, _text(value) if name == b"content-type" else value) for name, value in scope["headers"]]
        await application(scope | {"headers": headers}, receive, send)

    return wrapped


def _text(content_type: bytes) -> bytes:
    """The content type as it is, or without its charset when that can't be used."""
    kind, parameters = parse_header_parameters(content_type.decode("latin-1"))
    charset = parameters.get("charset", "utf-8")
    if _decodes(charset) and (kind != PLAIN_FORM or charset.lower() == "utf-8"):
        return content_type
    boundary = parameters.get("boundary")
    return (f"{kind}; boundary={boundary}" if boundary else kind).encode("latin-1")


def _decodes(charset: str) -> bool:
    try:
        b"a".decode(charset, "replace")
    except (LookupError, UnicodeError, ValueError):
        return False
    return True
