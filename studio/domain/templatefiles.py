"""Templates as files: JSON with everything, CSV with one row a variable."""

from __future__ import annotations

import csv
import io
import json
from itertools import zip_longest
from typing import Any

from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.templating import TemplateText
from studio.domain.textfiles import decode, table
from studio.domain.variables import Value, Variable, number_text

MAX_FILE_BYTES = 256 * 1024
_COLUMNS = ("name", "kind", "required", "label_zh", "label_en", "default_zh", "default_en", "max_length", "low", "high",
            "options_zh", "options_en")


def to_json(name: Value, text: TemplateText, settings: dict[str, Any], locked: list[str]) -> str:
    """The whole template."""
    return json.dumps({
        "format": "zimage-template", "version": 1, "name": name.as_json(), "text": {"zh": text.zh, "en": text.en},
        "variables": [variable.as_json() for variable in text.variables], "settings": settings, "locked": locked,
    }, ensure_ascii=False, indent=1)


def to_csv(text: TemplateText) -> str:
    """The variables, one a row, after two rows with the texts."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for language, words in (("zh", text.zh), ("en", text.en)):
        writer.writerow([f"#text_{language}", words] + [""] * (len(_COLUMNS) - 2))
    for one in text.variables:
        writer.writerow([
            one.name, one.kind.value, "yes" if one.required else "no", one.label.zh, one.label.en, one.default.zh,
            one.default.en, one.max_length or "", number_text(one.low), number_text(one.high),
            "\n".join(option.zh for option in one.options), "\n".join(option.en for option in one.options)])
    return out.getvalue()


def read(data: bytes) -> tuple[Value, TemplateText, dict[str, Any], list[str]]:
    """(name, text, settings, locked) of a file that `to_json` or `to_csv` wrote. Raises Invalid (field "file")."""
    words = decode(data, limit=MAX_FILE_BYTES)
    return _read_json(words) if words.lstrip().startswith("{") else _read_csv(words)


def _read_json(words: str) -> tuple[Value, TemplateText, dict[str, Any], list[str]]:
    try:
        found = json.loads(words)
        name, text = found["name"], found["text"]
        settings, locked = found.get("settings") or {}, found.get("locked") or []
        if not (isinstance(settings, dict) and isinstance(locked, list)):
            raise TypeError
        return (Value(str(name.get("zh") or "")[:80], str(name.get("en") or "")[:80]),
                _text(str(text.get("zh") or ""), str(text.get("en") or ""), found.get("variables") or []),
                settings, [str(one) for one in locked])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Invalid(_("This is no template's file: JSON with name, text and variables was expected."),
                      field="file") from None


def _read_csv(words: str) -> tuple[Value, TemplateText, dict[str, Any], list[str]]:
    rows = table(words)
    if not rows or not set(_COLUMNS[:2]) <= set(rows[0]):
        raise Invalid(
            _("This is no template's file: a table with the columns name and kind was expected."), field="file")
    texts, variables = {"#text_zh": "", "#text_en": ""}, []
    for row in rows:
        cells = {name: row.get(name, "") for name in _COLUMNS}
        if cells["name"] in texts:
            texts[cells["name"]] = cells["kind"]
            continue
        variables.append({
            "name": cells["name"].strip(), "kind": cells["kind"].strip().lower(),
            "required": cells["required"].strip().lower() not in ("no", "否", "0"),
            "label": _pair(cells, "label"), "default": _pair(cells, "default"),
            "max_length": cells["max_length"].strip() or 0, "low": cells["low"].strip(), "high": cells["high"].strip(),
            "options": _options(cells)})
    return Value(), _text(texts["#text_zh"], texts["#text_en"], variables), {}, []


def _pair(cells: dict[str, str], name: str) -> dict[str, str]:
    return {"zh": cells[f"{name}_zh"], "en": cells[f"{name}_en"]}


def _options(cells: dict[str, str]) -> list[dict[str, str]]:
    """One option a line, its two languages side by side."""
    zh, en = (cells[name].splitlines() for name in ("options_zh", "options_en"))
    return [{"zh": one.strip(), "en": other.strip()} for one, other in zip_longest(zh, en, fillvalue="")
            if one.strip() or other.strip()]


def _text(zh: str, en: str, variables: object) -> TemplateText:
    if not isinstance(variables, list):
        raise TypeError
    return TemplateText(zh, en, tuple(Variable.from_json(one) for one in variables))
