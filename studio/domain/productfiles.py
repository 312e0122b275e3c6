"""A team's products as a table: SKU and a name in Chinese, in English, or in both."""

from __future__ import annotations

from dataclasses import dataclass

from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.prompting import is_plain
from studio.domain.textfiles import decode, table

MAX_FILE_BYTES = 1024 * 1024
MAX_ROWS = 5000
MAX_SKU_CHARS, MAX_NAME_CHARS = 60, 80
#: How people head the columns.
_HEADERS = {"sku": ("sku", "货号", "商品编码"), "name_zh": ("name_zh", "中文名", "中文名称", "名称"),
            "name_en": ("name_en", "英文名", "英文名称", "name")}


@dataclass(frozen=True, slots=True)
class Row:
    """One product. Raises Invalid, naming the field, for one that can't be kept."""

    sku: str
    name_zh: str = ""
    name_en: str = ""

    def __post_init__(self) -> None:
        for name in ("sku", "name_zh", "name_en"):
            object.__setattr__(self, name, getattr(self, name).strip())
        if not self.sku:
            raise Invalid(_("Give the product its SKU."), field="sku")
        if not (self.name_zh or self.name_en):
            raise Invalid(_("Give the product a name in Chinese, in English, or both."), field="name_zh")
        for name, limit in (("sku", MAX_SKU_CHARS), ("name_zh", MAX_NAME_CHARS), ("name_en", MAX_NAME_CHARS)):
            text = getattr(self, name)
            if len(text) > limit:
                raise Invalid(_("“%(value)s…” is too long: at most %(limit)d characters."), field=name,
                              value=text[:20], limit=limit)
            if not is_plain(text) or "\n" in text or "\t" in text:
                raise Invalid(_("A product's SKU and names are one line of plain text."), field=name)


def read(data: bytes) -> list[Row]:
    """The products in a CSV. Raises Invalid (field "file") that names the first wrong row: all of it or nothing."""
    rows = table(decode(data, limit=MAX_FILE_BYTES))
    columns = {name: next((header for header in headers if rows and header in rows[0]), "")
               for name, headers in _HEADERS.items()}
    if not columns["sku"] or not (columns["name_zh"] or columns["name_en"]):
        raise Invalid(_("This is no table of products: the columns sku, name_zh and name_en were expected."),
                      field="file")
    if len(rows) > MAX_ROWS:
        raise Invalid(_("A file has at most %(limit)d products."), field="file", limit=MAX_ROWS)
    found: dict[str, Row] = {}
    for number, cells in enumerate(rows, start=1):
        try:
            row = Row(**{name: cells.get(column, "") for name, column in columns.items()})
        except Invalid as error:
            raise InRow(number, error) from error
        if row.sku in found:
            raise Invalid(_("Row %(row)d has the SKU “%(sku)s” of an earlier row. Nothing was imported."), field="file",
                          row=number, sku=row.sku)
        found[row.sku] = row
    return list(found.values())


class InRow(Invalid):
    """What is wrong with one row (counted from 1 after the header); `reason` says it."""

    def __init__(self, row: int, reason: Invalid) -> None:
        self.reason = reason
        super().__init__(_("Row %(row)d can't be used, so nothing was imported."), field="file", row=row)
