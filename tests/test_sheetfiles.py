from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from openpyxl import Workbook

from studio import sheetfiles
from studio.domain.errors import Invalid

TEXT = "sku,名称\nA-1,红玫瑰\nA-2,\"引号 \"\"里\"\" , 逗号\"\n"
ROWS = [(1, ["A-1", "红玫瑰"]), (2, ["A-2", '引号 "里" , 逗号'])]


def table(data: bytes, name: str = "x.csv") -> tuple[list[str], list[tuple[int, list[str]]]]:
    found = sheetfiles.read(data, name)
    return found.columns, list(found.rows)


def workbook(*rows: list[Any]) -> bytes:
    book = Workbook()
    for row in rows:
        book.active.append(row)  # type: ignore[union-attr]  # a new book has a sheet
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
def test_the_encodings_of_table_programs(encoding: str) -> None:
    assert table(TEXT.encode(encoding)) == (["sku", "名称"], ROWS)


@pytest.mark.parametrize("text", [
    TEXT.replace(",", ";", 2).replace("A-2,", "A-2;"), TEXT.replace("\n", "\r\n"), "sku\t名称\nA-1\t红玫瑰\n",
    "sku,名称\n\n,\nA-1,红玫瑰,,\n", " sku , 名称 \nA-1, 红玫瑰 "])
def test_separators_line_ends_and_blanks(text: str) -> None:
    columns, rows = table(text.encode())
    assert columns == ["sku", "名称"] and rows[0] == ROWS[0]


def test_a_workbook_with_numbers_dates_and_gaps() -> None:
    data = workbook(["sku", "名称", "n"], ["A-1", None, 3.0], [None, None, None], ["A-2", "红", 2.5])
    columns, rows = table(data, "x.xlsx")
    assert columns == ["sku", "名称", "n"]
    assert rows == [(1, ["A-1", "", "3"]), (2, ["A-2", "红", "2.5"])]


def test_a_formula_in_a_workbook_stays_one() -> None:
    _columns, rows = table(workbook(["a"], ["=1+1"]))
    assert sheetfiles.is_formula(rows[0][1][0])


def _bomb() -> bytes:
    out = io.BytesIO()
    archive = zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED)
    with archive, archive.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as part:
        for _ in range(210):
            part.write(b" " * 2**20)
    return out.getvalue()


def _billion_laughs() -> bytes:
    base = workbook(["a"], ["b"])
    out = io.BytesIO()
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10 if n else "ha"}">' for n in range(9))
    evil = f'<?xml version="1.0"?><!DOCTYPE x [{entities}]><worksheet>&e8;</worksheet>'
    with zipfile.ZipFile(io.BytesIO(base)) as source, zipfile.ZipFile(out, "w") as target:
        for part in source.infolist():
            data = source.read(part)
            target.writestr(part.filename, evil if part.filename == "xl/worksheets/sheet1.xml" else data)
    return out.getvalue()


@pytest.mark.parametrize(("data", "said"), [
    (b"", "empty"), (b" \n", "empty"), (b"a,b\n1,\0\n", "Line 2 contains a NUL"),
    (b"a,a\n1,2", "Two columns are called"),
    (b"a,,c\n1,2,3", "Column 2 has no name"), (b",,\n1,2", "must name the columns"),
    ("名称\n".encode() + "红".encode("gbk") + b"\n", "different encodings: line 2"),
    (b"a\n\xff\xff\xff\n", "Line 2 is neither"), (b"a\n" + b"x" * 300_000, "Line 2 is longer"),
    (b'a\n"open', "can't be read"), (",".join(f"c{n}" for n in range(51)).encode() + b"\n", "more than 50 columns"),
    (b"x" * (sheetfiles.MAX_BYTES + 1), "larger than 20 MB"), (b"PK\x03\x04 nonsense", "no workbook"),
    (_bomb(), "unpacks to more than"), (_billion_laughs(), "no workbook"), (b"\xff\xfea", "UTF-16"),
    (b"a" * 101 + b"\n1", "too long"),
], ids=lambda value: value if isinstance(value, str) else "file")
def test_a_hostile_file_is_refused_with_its_line(data: bytes, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        table(data)
    assert refused.value.field == "file"


def test_ten_thousand_rows_and_no_more() -> None:
    body = b"a\n" + b"x\n" * sheetfiles.MAX_ROWS
    assert len(table(body)[1]) == sheetfiles.MAX_ROWS
    with pytest.raises(Invalid, match="more than 10000 rows"):
        table(body + b"x\n")


@pytest.mark.parametrize(("cell", "is_one"), [
    ("=cmd|' /C calc'!A0", True), ("+1+2", True), ("@SUM(A1)", True), ("-2+3", True), ("-5", False), ("+5.5", False),
    ("-", False), ("A=1", False), ("", False), (" =1", True)])
def test_formulas(cell: str, is_one: bool) -> None:
    assert sheetfiles.is_formula(cell) == is_one


def test_what_is_written_is_text_to_a_table_program() -> None:
    data = b"".join(sheetfiles.write([["a", "b"], ["=cmd", '红,"x"']]))
    assert data.startswith(b"\xef\xbb\xbf")
    assert table(data)[1] == [(1, ["'=cmd", '红,"x"'])]
