"""The holes of a template as fields of the composer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext

from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.templating import SETTINGS
from studio.domain.variables import Value, Variable, VariableKind
from studio.models import Product, TemplateVersion
from studio.web.texts import error_text

#: A field of a hole is named so, with the variable's name and the language.
PREFIX = "v-"
NO_PICTURE = _("This template starts from a picture: choose one under “Start from”.")


@dataclass(frozen=True, slots=True)
class Choice:
    """One option as the page offers it."""

    name_zh: str
    name_en: str
    chosen: bool


@dataclass(slots=True)
class Hole:
    """One variable with what was typed into it."""

    variable: Variable
    typed: Value
    errors: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """For the page."""
        return self.variable.kind.value

    @property
    def name_zh(self) -> str:
        """For `localname`: what people call it."""
        return self.variable.label.zh or self.variable.label.en or self.variable.name

    @property
    def name_en(self) -> str:
        """As `name_zh`, in English."""
        return self.variable.label.en or self.variable.label.zh or self.variable.name

    @property
    def field_zh(self) -> str:
        """The field of the Chinese value, or of the only one."""
        return f"{PREFIX}{self.variable.name}-zh"

    @property
    def field_en(self) -> str:
        """The field of the English value."""
        return f"{PREFIX}{self.variable.name}-en"

    @property
    def options(self) -> list[Choice]:
        """What can be chosen."""
        typed = {text.casefold() for text in (self.typed.zh, self.typed.en) if text}
        return [Choice(option.zh or option.en, option.en or option.zh,
                       bool(typed & {option.zh.casefold(), option.en.casefold()}))
                for option in self.variable.options]


class Filling:
    """A template's version being filled in. `text` raises Invalid for a version that can't be read."""

    def __init__(self, version: TemplateVersion, given: Mapping[str, Any]) -> None:
        """`given`: the composer's fields; a variable that has none is at its default."""
        self.version, self.text = version, version.text
        self.holes = [Hole(variable, _typed(variable, given)) for variable in self.text.variables]
        self._products: list[Product] | None = None

    @property
    def shown(self) -> list[Hole]:
        """Those with fields of their own: a picture is chosen where any start picture is."""
        return [hole for hole in self.holes if hole.variable.kind != VariableKind.PICTURE]

    @property
    def picture(self) -> Variable | None:
        """The variable that is a picture, if there is one."""
        return next((hole.variable for hole in self.holes if hole.variable.kind == VariableKind.PICTURE), None)

    @property
    def text_locked(self) -> bool:
        """Whether the words can't be taken over and changed."""
        return "text" in self.version.locked

    @property
    def products(self) -> list[Product]:
        """What a variable of that kind chooses from."""
        if self._products is None:
            self._products = list(Product.objects.filter(team=self.version.template.team_id))
        return self._products

    def fixed(self) -> dict[str, Any]:
        """The settings that whoever uses the template can't change."""
        return {name: value for name, value in self.settings().items() if name in self.version.locked}

    def settings(self) -> dict[str, Any]:
        """The composer's fields that the template sets."""
        return {name: value for name, value in self.version.settings.items() if name in SETTINGS}

    def values(self, source: object = None) -> dict[str, Value] | None:
        """What the holes are filled with; None when one can't be, which then has `errors`.

        `source` is the id of the start picture, for the variable that is one.
        """
        found = {}
        for hole in self.holes:
            try:
                found[hole.variable.name] = self._clean(hole, source)
            except Invalid as error:
                hole.errors.append(error_text(error))
        return None if any(hole.errors for hole in self.holes) else found

    def prompts(self) -> tuple[str, str]:
        """(Chinese, English) as far as they can be told: a hole that can't be filled shows its name."""
        found = {}
        for hole in self.holes:
            try:
                found[hole.variable.name] = self._clean(hole, "picture")
            except Invalid:
                found[hole.variable.name] = Value(*[f"{{{hole.variable.name}}}"] * 2)
        return self.text.fill(found)

    def _clean(self, hole: Hole, source: object) -> Value:
        variable = hole.variable
        if variable.kind == VariableKind.PICTURE:
            if variable.required and not source:
                raise Invalid(gettext(NO_PICTURE), field="source")
            return Value(str(source or ""), str(source or ""))
        value = variable.clean(hole.typed)
        if variable.kind != VariableKind.PRODUCT or value.empty:
            return value
        for product in self.products:
            if {value.zh, value.en} <= {product.sku, product.name_zh, product.name_en}:
                return Value(product.name_zh or product.name_en, product.name_en or product.name_zh)
        raise Invalid(_("“%(value)s” is none of the team's products."), field=variable.name, value=value.zh)


def _typed(variable: Variable, given: Mapping[str, Any]) -> Value:
    keys = [f"{PREFIX}{variable.name}-{language}" for language in ("zh", "en")]
    if not any(key in given for key in keys):
        return variable.default
    return Value(*(str(given.get(key) or "") for key in keys))
