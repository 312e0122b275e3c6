"""The template editor's form: texts, rows of variables, settings, locks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.http import QueryDict
from django.utils.dateparse import parse_datetime

from studio.domain.errors import Invalid
from studio.domain.templating import LOCKS, MAX_VARIABLES
from studio.domain.variables import Value, Variable, VariableKind, number_text
from studio.models import PromptTemplate, TemplateVersion
from studio.services.templates import Content
from studio.web.texts import error_text

_ROW = ("name", "kind", "label_zh", "label_en", "default_zh", "default_en", "required", "max_length", "low", "high",
        "options")
_PLAIN = ("steps", "sampler", "guidance", "negative", "count")
#: What the formats and the locks of the settings are posted as.
FORMATS, LOCK = "formats", "lock"


@dataclass(slots=True)
class Row:
    """A variable as it is typed, and what is wrong with it."""

    typed: dict[str, str]
    error: str = ""

    @classmethod
    def of(cls, one: Variable) -> Row:
        """As the form shows a stored variable."""
        return cls({
            "name": one.name, "kind": one.kind.value, "label_zh": one.label.zh, "label_en": one.label.en,
            "default_zh": one.default.zh, "default_en": one.default.en, "required": "on" if one.required else "",
            "max_length": str(one.max_length or ""), "low": number_text(one.low), "high": number_text(one.high),
            "options": "\n".join(f"{option.zh} | {option.en}" for option in one.options)})

    def variable(self) -> Variable:
        """As the domain reads it. Raises Invalid."""
        typed = self.typed
        options = [Value(*(part.strip() for part in (line if "|" in line else f"{line}|{line}").split("|", 1)))
                   for line in typed["options"].splitlines() if line.strip()]
        return Variable.from_json({
            "name": typed["name"].strip(), "kind": typed["kind"], "required": bool(typed["required"]),
            "label": {"zh": typed["label_zh"].strip(), "en": typed["label_en"].strip()},
            "default": {"zh": typed["default_zh"].strip(), "en": typed["default_en"].strip()},
            "max_length": typed["max_length"].strip() or 0, "low": typed["low"].strip(), "high": typed["high"].strip(),
            "options": [option.as_json() for option in options]})


@dataclass(slots=True)
class Editor:
    """What the editor shows; `errors` by field."""

    name_zh: str = ""
    name_en: str = ""
    zh: str = ""
    en: str = ""
    note: str = ""
    rows: list[Row] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    locked: list[str] = field(default_factory=list)
    seen: str = ""
    errors: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, template: PromptTemplate, version: TemplateVersion | None, draft: TemplateVersion | None) -> Editor:
        """A stored version; `draft` is what will be overwritten."""
        shown = version or TemplateVersion(template=template)
        return cls(template.name_zh, template.name_en, shown.text_zh, shown.text_en, shown.note,
                   [Row.of(one) for one in shown.text.variables], dict(shown.settings), list(shown.locked),
                   draft.edited_at.isoformat() if draft else "")

    @classmethod
    def posted(cls, data: QueryDict) -> Editor:
        """What was typed; rows in their order, with `add`, `drop` and `up` already done."""
        numbers = [number for number in data.getlist("row") if number.isdecimal()][:MAX_VARIABLES + 1]
        rows = [Row({name: data.get(f"{name}-{number}", "") for name in _ROW}) for number in numbers]
        for action in ("drop", "up"):
            at = data.get(action, "")
            if at in numbers:
                index = numbers.index(at)
                row = rows.pop(index)
                if action == "up":
                    rows.insert(max(0, index - 1), row)
        if "add" in data:
            rows.append(Row(dict.fromkeys(_ROW, "") | {"kind": VariableKind.TEXT.value, "required": "on"}))
        settings: dict[str, Any] = {name: data[f"set-{name}"] for name in _PLAIN if data.get(f"set-{name}")}
        if data.getlist(FORMATS):
            settings["formats"] = data.getlist(FORMATS)
        return cls(data.get("name_zh", "").strip()[:80], data.get("name_en", "").strip()[:80], data.get("text_zh", ""),
                   data.get("text_en", ""), data.get("note", ""), rows, settings,
                   [name for name in data.getlist(LOCK) if name in LOCKS], data.get("seen", ""))

    def content(self) -> Content | None:
        """As the service takes it; None when a row can't be read, which then says why."""
        variables = []
        for row in self.rows:
            try:
                variables.append(row.variable())
            except Invalid as error:
                row.error = error_text(error)
                self.errors.setdefault("variables", row.error)
        if self.errors:
            return None
        return Content(self.zh, self.en, tuple(variables), self.settings, tuple(self.locked), self.note)

    @property
    def seen_at(self) -> datetime | None:
        """The draft that was shown; None when there was none."""
        try:
            return parse_datetime(self.seen)
        except ValueError:
            return None
