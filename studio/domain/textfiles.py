"""Small text files that people upload: how they are written, and tables in them."""

from __future__ import annotations

import csv
import io

from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _


def decode(data: bytes, *, limit: int) -> str:
    """The text of a file of at most `limit` bytes, in UTF-8 or as a Chinese spreadsheet saves it (GB18030).

    Raises Invalid (field "file").
    """
    if len(data) > limit:
        raise Invalid(_("The file has more than %(limit)d KB."), field="file", limit=limit // 1024)
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise Invalid(_("This file is no text in UTF-8 or GB18030."), field="file")


def table(text: str) -> list[dict[str, str]]:
    """The rows of a CSV by their header, names in small letters; [] for what is no table. A missing cell is empty."""
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except csv.Error:
        return []
    if not lines:
        return []
    names = [name.strip().lower() for name in lines[0]]
    return [dict(zip(names, [*cells, *[""] * (len(names) - len(cells))], strict=False))
            for cells in lines[1:] if any(cell.strip() for cell in cells)]
