"""The typed variables of a prompt template, and what they are filled with."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.prompting import is_plain

MAX_OPTIONS = 200
MAX_VALUE_CHARS = 300
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


class VariableKind(StrEnum):
    """What a variable holds."""

    TEXT = "text"
    CHOICE = "choice"
    COLOUR = "colour"
    NUMBER = "number"
    #: One of the team's products.
    PRODUCT = "product"
    #: An uploaded picture that the render starts from; it puts no words into the prompt.
    PICTURE = "picture"


@dataclass(frozen=True, slots=True)
class Value:
    """What a variable is filled with, in both languages. Of a picture: the upload's id, twice."""

    zh: str = ""
    en: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing was given."""
        return not self.zh and not self.en

    def as_json(self) -> dict[str, str]:
        """For a row."""
        return {"zh": self.zh, "en": self.en}


@dataclass(frozen=True, slots=True)
class Variable:
    """A typed hole in a template. `options`: what can be chosen (a choice, a colour), in both languages.

    `max_length` counts the characters of a text, 0 for the limit of all; `low` and `high` bound a number.
    Raises Invalid, with the variable's name as the field, for what makes no sense.
    """

    name: str
    kind: VariableKind
    label: Value = Value()
    required: bool = True
    default: Value = Value()
    max_length: int = 0
    options: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise Invalid(
                _("A variable's name has small Latin letters, digits and underscores, a letter first; “%(name)s” has "
                  "others."), field=self.name, name=self.name)
        if not 0 <= self.max_length <= MAX_VALUE_CHARS:
            raise Invalid(_("A text can be limited to 1 to %(limit)d characters."), field=self.name,
                          limit=MAX_VALUE_CHARS)
        if self.kind == VariableKind.CHOICE and not self.options:
            raise Invalid(_("Give “%(name)s” something to choose from."), field=self.name, name=self.name)
        if len(self.options) > MAX_OPTIONS:
            raise Invalid(_("At most %(limit)d options."), field=self.name, limit=MAX_OPTIONS)
        if len({option.zh or option.en for option in self.options}) < len(self.options):
            raise Invalid(_("“%(name)s” offers the same option twice."), field=self.name, name=self.name)
        for text in (self.label, self.default, *self.options):
            self._readable(text)
        if self.low is not None and self.high is not None and self.low > self.high:
            raise Invalid(_("The lowest number of “%(name)s” is above its highest."), field=self.name, name=self.name)
        if not self.default.empty:
            self.clean(self.default)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Variable:
        """What `as_json` wrote, or a file that people wrote. Raises Invalid."""
        try:
            name, kind = str(found["name"]), VariableKind(str(found["kind"]))
            return cls(
                name=name, kind=kind, label=_value(found.get("label")), required=bool(found.get("required", True)),
                default=_value(found.get("default")), max_length=int(found.get("max_length") or 0),
                options=tuple(_value(option) for option in found.get("options") or ()),
                low=_number(found.get("low")), high=_number(found.get("high")))
        except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise Invalid(_("A variable of this template can't be read: %(reason)s"), field="variables",
                          reason=str(error)) from error

    def as_json(self) -> dict[str, Any]:
        """As a plain dictionary; what is empty is left out."""
        found: dict[str, Any] = {"name": self.name, "kind": self.kind.value, "required": self.required}
        found |= {key: value.as_json() for key, value in (("label", self.label), ("default", self.default))
                  if not value.empty}
        if self.options:
            found["options"] = [option.as_json() for option in self.options]
        found |= {key: value for key, value in (
            ("max_length", self.max_length or None), ("low", self.low), ("high", self.high)) if value is not None}
        return found

    def clean(self, value: Value) -> Value:
        """`value` as it goes into the prompt: stripped, one language standing in for a missing other one.

        A choice is found by either of its names. Raises Invalid, with the variable's name as the field.
        """
        zh, en = value.zh.strip(), value.en.strip()
        given = Value(zh or en, en or zh)
        self._readable(given)
        if given.empty:
            if self.required:
                raise Invalid(_("“%(name)s” is missing."), field=self.name, name=self.name)
            return given
        match self.kind:
            case VariableKind.TEXT:
                self._fits(given)
            case VariableKind.NUMBER:
                self._in_range(given)
            case VariableKind.CHOICE:
                return self._chosen(given)
            case VariableKind.COLOUR:
                return self._colour(given)
            case VariableKind.PRODUCT | VariableKind.PICTURE:
                self._fits(given)
        return given

    def _readable(self, value: Value) -> None:
        if not (is_plain(value.zh) and is_plain(value.en)):
            raise Invalid(_("“%(name)s” contains control characters. Type it again, or paste it as plain text."),
                          field=self.name, name=self.name)
        if max(len(value.zh), len(value.en)) > MAX_VALUE_CHARS:
            raise Invalid(_("“%(name)s” has a text of more than %(limit)d characters."), field=self.name,
                          name=self.name, limit=MAX_VALUE_CHARS)

    def _fits(self, value: Value) -> None:
        limit = self.max_length or MAX_VALUE_CHARS
        length = max(len(value.zh), len(value.en))
        if length > limit:
            raise Invalid(_("“%(name)s” has %(length)d characters, at most %(limit)d are allowed."), field=self.name,
                          name=self.name, length=length, limit=limit)
        if any(text.count("\n") for text in (value.zh, value.en)):
            raise Invalid(_("“%(name)s” must be one line."), field=self.name, name=self.name)

    def _in_range(self, value: Value) -> None:
        for text in (value.zh, value.en):
            number = _number_in(text)
            if number is None:
                raise Invalid(_("“%(name)s” is a number; “%(value)s” is not."), field=self.name, name=self.name,
                              value=text[:40])
            if self.low is not None and number < self.low:
                raise Invalid(_("“%(name)s” is at least %(low)s."), field=self.name, name=self.name,
                              low=f"{self.low:g}")
            if self.high is not None and number > self.high:
                raise Invalid(_("“%(name)s” is at most %(high)s."), field=self.name, name=self.name,
                              high=f"{self.high:g}")

    def _chosen(self, value: Value) -> Value:
        found = self._option(value)
        if found is None:
            raise Invalid(_("“%(value)s” is not among the options of “%(name)s”."), field=self.name, name=self.name,
                          value=(value.zh or value.en)[:40])
        return found

    def _colour(self, value: Value) -> Value:
        found = self._option(value)
        if found is not None:
            return found
        if self.options or not all(_HEX.fullmatch(text) for text in (value.zh, value.en)):
            raise Invalid(_("“%(value)s” is no colour of “%(name)s”: choose one of its own, or write it like #C8102E."),
                          field=self.name, name=self.name, value=(value.zh or value.en)[:40])
        return value

    def _option(self, value: Value) -> Value | None:
        wanted = {text.casefold() for text in (value.zh, value.en) if text}
        for option in self.options:
            names = {text.casefold() for text in (option.zh, option.en) if text}
            if wanted & names:
                return Value(option.zh or option.en, option.en or option.zh)
        return None


def _value(found: Any) -> Value:
    if found is None:
        return Value()
    if isinstance(found, str):
        return Value(found.strip(), found.strip())
    return Value(str(found.get("zh") or "").strip(), str(found.get("en") or "").strip())


def number_text(number: float | None) -> str:
    """A bound as people write it, every digit kept; nothing for none."""
    return "" if number is None else repr(float(number)).removesuffix(".0")


def _number(found: Any) -> float | None:
    if found is None or found == "":
        return None
    number = float(found)
    if not math.isfinite(number):
        raise ValueError(f"{found} is not finite")
    return number


def _number_in(text: str) -> float | None:
    try:
        return _number(text)
    except ValueError:
        return None
