"""Tables that people upload and download: CSV in the encodings that Excel writes, and XLSX. Nothing in them is run."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException

from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _

MAX_BYTES = 20 * 2**20
MAX_ROWS = 10_000
MAX_COLUMNS = 50
MAX_CELL_CHARS = 2000
#: Of a line of CSV, and of the unpacked parts of an XLSX file.
_MAX_LINE_BYTES = 256 * 1024
_MAX_UNPACKED = 200 * 2**20
_MAX_PARTS = 1000
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_FIELD = "file"
#: What a table program would run instead of showing it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: its headers, and its rows as they are read, each with its number from 1 below the header."""

    columns: list[str]
    rows: Iterator[tuple[int, list[str]]]


def read(data: bytes, name: str) -> Sheet:
    """The table in a file of at most MAX_BYTES. Raises Invalid (field "file"), also while its rows are read."""
    if len(data) > MAX_BYTES:
        raise Invalid(_("The file is larger than %(limit)d MB."), field=_FIELD, limit=MAX_BYTES // 2**20)
    if not data.strip():
        raise Invalid(_("The file is empty."), field=_FIELD)
    lines = _xlsx(data) if data[:2] == b"PK" else _csv(data)
    try:
        header = next(lines)
    except StopIteration:
        raise Invalid(_("The file is empty."), field=_FIELD) from None
    columns = _header(header)
    return Sheet(columns, _rows(lines, len(columns)))


def is_formula(cell: str) -> bool:
    """Whether a table program would take `cell` for a formula; a number with a sign is none."""
    text = cell.strip()
    if not text.startswith(_FORMULA):
        return False
    try:
        float(text)
    except ValueError:
        return len(text) > 1
    return False


def write(rows: Iterable[Iterable[object]]) -> Iterator[bytes]:
    """CSV that Excel reads as UTF-8, line by line; what would be a formula is marked as text."""
    yield b"\xef\xbb\xbf"
    for row in rows:
        out = io.StringIO()
        csv.writer(out).writerow(_harmless(str(cell)) for cell in row)
        yield out.getvalue().encode()


def _harmless(cell: str) -> str:
    return f"'{cell}" if is_formula(cell) else cell


def _header(cells: list[str]) -> list[str]:
    names = [" ".join(cell.split()) for cell in cells]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise Invalid(_("The first line must name the columns."), field=_FIELD)
    if len(names) > MAX_COLUMNS:
        raise Invalid(_("The table has more than %(limit)d columns."), field=_FIELD, limit=MAX_COLUMNS)
    for number, name in enumerate(names, 1):
        if not name:
            raise Invalid(_("Column %(number)d has no name."), field=_FIELD, number=number)
        if len(name) > 100:
            raise Invalid(_("The name of column %(number)d is too long."), field=_FIELD, number=number)
        if name in names[:number - 1]:
            raise Invalid(_("Two columns are called “%(name)s”."), field=_FIELD, name=name)
    return names


def _rows(lines: Iterator[list[str]], width: int) -> Iterator[tuple[int, list[str]]]:
    count = 0
    for cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        count += 1
        if count > MAX_ROWS:
            raise Invalid(_("The table has more than %(limit)d rows."), field=_FIELD, limit=MAX_ROWS)
        while len(cells) > width and not cells[-1].strip():
            cells.pop()
        yield count, [cell.strip()[:MAX_CELL_CHARS + 1] for cell in cells] + [""] * (width - len(cells))


def _csv(data: bytes) -> Iterator[list[str]]:
    text = _decoded(data)
    if "\0" in text:
        raise Invalid(_("Line %(line)d contains a NUL character: this is no text file."), field=_FIELD,
                      line=text.count("\n", 0, text.index("\0")) + 1)
    first = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        try:
            yield next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise Invalid(_("Line %(line)d can't be read: %(reason)s"), field=_FIELD, line=reader.line_num,
                          reason=str(error)) from error


def _decoded(data: bytes) -> str:
    encoding = next((name for mark, name in _BOMS.items() if data.startswith(mark)), "")
    if encoding == "utf-16":
        try:
            return data.decode(encoding)
        except UnicodeDecodeError as error:
            raise Invalid(_("The file can't be read as UTF-16."), field=_FIELD) from error
    found: dict[str, int] = {}  # encoding -> the first line that only it can read
    for number, line in enumerate(data.split(b"\n"), 1):
        if len(line) > _MAX_LINE_BYTES:
            raise Invalid(_("Line %(line)d is longer than %(limit)d KB."), field=_FIELD, line=number,
                          limit=_MAX_LINE_BYTES // 1024)
        if line.isascii():
            continue
        found.setdefault(_encoding(line, number), number)
    if len(found) > 1:
        raise Invalid(_("The lines are in different encodings: line %(line)d is not like the ones before. Save the "
                        "table as UTF-8."), field=_FIELD, line=max(found.values()))
    return data.decode("utf-8-sig" if encoding else next(iter(found), "utf-8"))


def _encoding(line: bytes, number: int) -> str:
    for name in ("utf-8", "gb18030"):
        try:
            line.decode(name)
        except UnicodeDecodeError:
            continue
        return name
    raise Invalid(_("Line %(line)d is neither UTF-8 nor GBK. Save the table as UTF-8."), field=_FIELD, line=number)


def _xlsx(data: bytes) -> Iterator[list[str]]:
    # Here, since it brings numpy along, which the web needs for nothing else.
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            if len(parts) > _MAX_PARTS or sum(part.file_size for part in parts) > _MAX_UNPACKED:
                raise Invalid(_("This workbook unpacks to more than %(limit)d MB: it is not opened."), field=_FIELD,
                              limit=_MAX_UNPACKED // 2**20)
        book = load_workbook(io.BytesIO(data), read_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # what the file says of its size may lie
        for row in sheet.iter_rows(values_only=True, max_row=MAX_ROWS + 50, max_col=MAX_COLUMNS + 1):
            yield [_said(value) for value in row]
    except (zipfile.BadZipFile, InvalidFileException, KeyError, IndexError, ValueError, TypeError, AttributeError,
            OSError, EOFError, ParseError, DefusedXmlException, NotImplementedError) as error:
        raise Invalid(_("This is no workbook that can be read. Save it as XLSX or CSV again."), field=_FIELD) from error


def _said(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace("\0", "")
