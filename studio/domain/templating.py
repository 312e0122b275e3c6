"""Prompt templates: text in two languages with typed variables, written `{name}`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from typing import Any

from studio.domain.errors import Invalid
from studio.domain.guides import MAX_GUIDANCE
from studio.domain.i18n import gettext_noop as _
from studio.domain.prompting import MAX_PROMPT_CHARS, clean_prompt
from studio.domain.spec import MAX_COUNT, MAX_STEPS, SAMPLERS
from studio.domain.variables import Value, Variable, VariableKind

MAX_VARIABLES = 20
#: `{name}`, or a doubled brace, which stands for itself, or a brace that is neither.
_TOKEN = re.compile(r"\{\{|\}\}|\{([a-z][a-z0-9_]{0,31})\}|[{}]")


#: What a template may fix, by the composer's field; each can be locked, and so can the text.
SETTINGS = ("steps", "sampler", "guidance", "negative", "formats", "count")
LOCKS = ("text", *SETTINGS)


_MOST_FORMATS = 200
_FORMAT = re.compile(r"[A-Za-z0-9_-]{1,50}")


class TemplateStatus(StrEnum):
    """Life of a version: only a draft is changed, only the published one is offered."""

    DRAFT = "draft"
    PUBLISHED = "published"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class TemplateText:
    """A template's two texts and its variables. Raises Invalid for one that can't be filled."""

    zh: str
    en: str
    variables: tuple[Variable, ...]
    used: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        names = [variable.name for variable in self.variables]
        if len(names) > MAX_VARIABLES:
            raise Invalid(_("A template has at most %(limit)d variables."), field="variables", limit=MAX_VARIABLES)
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise Invalid(_("There are two variables called “%(name)s”."), field="variables", name=twice[0])
        for where, text in (("text_zh", self.zh), ("text_en", self.en)):
            if len(text) > MAX_PROMPT_CHARS:
                raise Invalid(_("The text has %(length)d characters; at most %(limit)d can be used."), field=where,
                              length=len(text), limit=MAX_PROMPT_CHARS)
            for name in placeholders(text, where):
                if name not in names:
                    raise Invalid(_("The text speaks of {%(name)s}, but there is no such variable."), field=where,
                                  name=name)
                if self.variable(name).kind == VariableKind.PICTURE:
                    raise Invalid(_("{%(name)s} is a picture: it leads the render and has no place in the text."),
                                  field=where, name=name)
        object.__setattr__(self, "used", frozenset(placeholders(self.zh, "text_zh") + placeholders(self.en, "text_en")))

    def variable(self, name: str) -> Variable:
        """The variable called `name`. Raises KeyError."""
        for variable in self.variables:
            if variable.name == name:
                return variable
        raise KeyError(name)

    @property
    def unused(self) -> list[str]:
        """Variables that neither text speaks of and that put no picture in: worth a warning."""
        return [one.name for one in self.variables if one.name not in self.used and one.kind != VariableKind.PICTURE]

    def defaults(self) -> dict[str, Value]:
        """What the variables hold before anybody fills them."""
        return {variable.name: variable.default for variable in self.variables}

    def problems(self, values: Mapping[str, Value]) -> list[Invalid]:
        """Everything that is wrong with `values`, one error a variable."""
        found = []
        for variable in self.variables:
            try:
                variable.clean(values.get(variable.name, variable.default))
            except Invalid as error:
                found.append(error)
        return found

    def clean(self, values: Mapping[str, Value]) -> dict[str, Value]:
        """`values` as they go into the prompt; a missing one is its default. Raises the first of `problems`."""
        return {one.name: one.clean(values.get(one.name, one.default)) for one in self.variables}

    def parts(self, language: str, values: Mapping[str, Value]) -> list[tuple[str, str]]:
        """The text of `language` ("zh" or "en") in pieces: (variable's name, or "" for the text between; its words)."""
        return _parts(getattr(self, language), {name: getattr(value, language) for name, value in values.items()})

    def fill(self, values: Mapping[str, Value]) -> tuple[str, str]:
        """(Chinese, English), each hole filled in its language; `values` were cleaned. An empty one vanishes."""
        return _fill(self.zh, {name: value.zh for name, value in values.items()}), _fill(
            self.en, {name: value.en for name, value in values.items()})


def placeholders(text: str, where: str = "") -> list[str]:
    """The names in braces, in their order, each once. Raises Invalid (with `where`) for a brace that stands alone."""
    found: dict[str, None] = {}
    for token in _TOKEN.finditer(text):
        if token.group(1):
            found[token.group(1)] = None
        elif token.group() in ("{", "}"):
            raise Invalid(_("There is a single “%(brace)s” in the text: write a variable as {name}, and a brace itself "
                            "doubled."), field=where, brace=token.group())
    return list(found)


def _parts(text: str, values: Mapping[str, str]) -> list[tuple[str, str]]:
    found, at = [], 0
    for token in _TOKEN.finditer(text):
        name = token.group(1)
        found += [("", text[at:token.start()]), (name, values.get(name, "")) if name else ("", token.group()[0])]
        at = token.end()
    return [(name, words) for name, words in [*found, ("", text[at:])] if words]


def _fill(text: str, values: Mapping[str, str]) -> str:
    return "".join(words for _name, words in _parts(text, values))


def combinations(values: Mapping[str, Iterable[Value]]) -> Iterable[dict[str, Value]]:
    """Every combination of the values that each variable may take, the last variable changing fastest."""
    names = list(values)
    for chosen in product(*(list(values[name]) for name in names)):
        yield dict(zip(names, chosen, strict=True))


def clean_settings(found: Mapping[str, Any]) -> dict[str, Any]:
    """The composer's fields that a template sets, as they can be used. Raises Invalid, naming the field."""
    clean: dict[str, Any] = {}
    for name, low, high in (("steps", 1, MAX_STEPS), ("count", 1, MAX_COUNT)):
        if (number := found.get(name)) not in (None, ""):
            if not str(number).isdecimal() or len(str(number)) > 9 or not low <= int(number) <= high:
                raise Invalid(_("“%(name)s” is a whole number from %(low)d to %(high)d."), field=name, name=name,
                              low=low, high=high)
            clean[name] = int(number)
    if (guidance := found.get("guidance")) not in (None, ""):
        try:
            clean["guidance"] = float(guidance)
        except (TypeError, ValueError):
            clean["guidance"] = -1.0
        if not 0 <= clean["guidance"] <= MAX_GUIDANCE:  # also refuses NaN
            raise Invalid(_("Guidance is a number from 0 to %(high)s."), field="guidance", high=MAX_GUIDANCE)
    if sampler := found.get("sampler"):
        if sampler not in SAMPLERS:
            raise Invalid(_("There is no sampler called “%(value)s”."), field="sampler", value=str(sampler)[:40])
        clean["sampler"] = sampler
    if negative := found.get("negative"):
        clean["negative"] = clean_prompt(str(negative), field="negative")
    if formats := found.get("formats"):
        if not (isinstance(formats, list) and len(formats) <= _MOST_FORMATS
                and all(isinstance(key, str) and _FORMAT.fullmatch(key) for key in formats)):
            raise Invalid(_("The template's formats can't be read."), field="formats")
        clean["formats"] = formats
    return clean
