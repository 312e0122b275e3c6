from __future__ import annotations

from typing import Any

import pytest

from studio.web.charset import with_text_charset

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"


async def seen(content_type: bytes) -> dict[bytes, bytes]:
    """The headers that an application behind the wrapper gets."""
    scopes: list[dict[str, Any]] = []

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        scopes.append(scope)

    headers = [(b"host", b"a"), (b"content-type", content_type)]
    await with_text_charset(application)({"type": "http", "headers": headers}, None, None)  # type: ignore[arg-type]
    return dict(scopes[0]["headers"])


@pytest.mark.parametrize("charset", ["zlib", "hex", "undefined", "nonsense", "\x00"])
@pytest.mark.parametrize("kind", [FORM, MULTIPART])
async def test_a_charset_that_is_none_is_not_believed(kind: str, charset: str) -> None:
    """Django would take the codec and fail on the form's fields."""
    assert await seen(f"{kind}; charset={charset}".encode()) == {b"host": b"a", b"content-type": kind.encode()}


@pytest.mark.parametrize("charset", ["utf-16", "gbk", "latin-1"])
async def test_a_plain_form_is_read_as_utf_8(charset: str) -> None:
    assert (await seen(f"{FORM}; charset={charset}".encode()))[b"content-type"] == FORM.encode()


@pytest.mark.parametrize("kept", [
    FORM.encode(), f"{FORM}; charset=UTF-8".encode(), MULTIPART.encode(), f"{MULTIPART}; charset=gbk".encode(),
    b"text/plain; charset=gbk", b"text/plain; charset=UTF-8", b"", b";;", b"\xff"])
async def test_other_content_types_stay_as_they_are(kept: bytes) -> None:
    assert (await seen(kept))[b"content-type"] == kept
