"""How the rows of a sheet are read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from studio import sheetfiles
from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.prompting import clean_prompt, join_prompts
from studio.domain.templating import TemplateText
from studio.domain.terms import Forbidden, TermAction, find
from studio.domain.variables import Value
from studio.models import BulkRun, TemplateVersion
from studio.services import terms

LANGUAGES = ("zh", "en")
#: Where each variable's value comes from; see BulkRun.
Columns = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What rows are checked against; read once for all of them."""

    text: TemplateText
    words: list[Forbidden]
    columns: list[str]
    mapping: Columns

    @classmethod
    def of(cls, run: BulkRun) -> Rules:
        """Those of a run."""
        return cls(run.version.text, terms.known(run.campaign.brand_kit), run.columns, run.mapping)

    def values(self, cells: list[str]) -> dict[str, Value]:
        """What the row puts into the variables; those without a column are at their fixed value or default."""
        at = {name: cells[index] if index < len(cells) else "" for index, name in enumerate(self.columns)}
        found = {}
        for variable in self.text.variables:
            source = self.mapping.get(variable.name) or {}
            if not source:
                found[variable.name] = variable.default
                continue
            fixed = source.get("value", "")
            zh, en = (at.get(source.get(language, ""), "") or fixed for language in LANGUAGES)
            found[variable.name] = Value(zh, en)
        return found

    def problems(self, cells: list[str]) -> list[dict[str, Any]]:
        """Everything that is wrong with a row, or to be known of it."""
        found = []
        if len(cells) > len(self.columns):
            found.append(problem("", _("The row has more cells than the table has columns."), {}))
        used = {column for source in self.mapping.values() for column in (source.get("zh"), source.get("en")) if column}
        for column, cell in zip(self.columns, cells, strict=False):
            if column in used and sheetfiles.is_formula(cell):
                found.append(problem(column, _("“%(value)s” is a formula: write its result."), {"value": cell[:40]}))
            if len(cell) > sheetfiles.MAX_CELL_CHARS:
                found.append(problem(column, _("A cell has at most %(limit)d characters."),
                                     {"limit": sheetfiles.MAX_CELL_CHARS}))
        values = self.values(cells)
        found += [problem(self._column(error.field), error.message, error.params)
                  for error in self.text.problems(values)]
        if not found:
            found += self._prompt(values)
        return found + self._words(values)

    def _column(self, variable: str) -> str:
        source = self.mapping.get(variable) or {}
        return source.get("zh") or source.get("en") or ""

    def _prompt(self, values: Mapping[str, Value]) -> list[dict[str, Any]]:
        try:
            join_prompts(*(clean_prompt(text, field="") for text in self.text.fill(self.text.clean(values))))
        except Invalid as error:
            return [problem("", error.message, error.params)]
        return []

    def _words(self, values: Mapping[str, Value]) -> list[dict[str, Any]]:
        found = []
        for name, value in values.items():
            for one in find(f"{value.zh}\n{value.en}" if value.zh != value.en else value.zh, self.words):
                blocks = one.term.action == TermAction.BLOCK
                found.append(problem(
                    self._column(name), _("“%(word)s” must not appear: %(source)s") if blocks
                    else _("“%(word)s” needs a second look: %(source)s"),
                    {"word": one.found, "source": one.term.source or one.term.note or "–"},
                    level="error" if blocks else "warning"))
        return found


def problem(column: str, message: str, params: Mapping[str, object], *, level: str = "error") -> dict[str, Any]:
    """As a row keeps it; "error" keeps the row from being queued, "warning" does not."""
    return {"column": column, "level": level, "message": message, "params": {
        name: value if isinstance(value, int | float | str) else str(value) for name, value in params.items()}}


def usable(problems: list[dict[str, Any]]) -> bool:
    """Whether a row with these problems can be queued."""
    return not any(problem["level"] == "error" for problem in problems)


def plain(text: str) -> str:
    """What a database keeps of `text`: PostgreSQL takes no NUL and no half of a surrogate pair in JSON."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode()


def guess(version: TemplateVersion, columns: list[str]) -> Columns:
    """Which column each variable's value is in, by the names people give to both."""
    plain = {_plain(column): column for column in columns}
    found: Columns = {}
    for variable in version.text.variables:
        names = [variable.name, variable.label.zh, variable.label.en]
        both = next((plain[_plain(name)] for name in names if name and _plain(name) in plain), "")
        own = {language: next((plain[_plain(f"{name}{suffix}")] for name in names if name for suffix in suffixes
                               if _plain(f"{name}{suffix}") in plain), both)
               for language, suffixes in (("zh", ("_zh", "_cn", "中文")), ("en", ("_en", "英文", "english")))}
        if any(own.values()):
            found[variable.name] = own
    return found


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())
