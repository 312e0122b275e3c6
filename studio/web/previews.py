"""What a template's prompt looks like while it is written: filled, with what fills it marked, and its tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

from studio import tokens as counter
from studio.domain.errors import Invalid
from studio.domain.prompting import clean_prompt, join_prompts
from studio.domain.templating import TemplateText
from studio.domain.variables import Value, Variable, VariableKind, number_text
from studio.web import model
from studio.web.forms.templates import Editor

#: Colours that mark variables, by their place; they come again after the last.
COLOURS = "abcd"


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of the filled text; `name` is the variable that it comes from, or ""."""

    name: str
    text: str
    colour: str = ""


@dataclass(slots=True)
class Preview:
    """The two prompts; `tokens` is None when it can't be said. `unused`: variables that neither text speaks of."""

    zh: list[Piece] = field(default_factory=list)
    en: list[Piece] = field(default_factory=list)
    tokens: int | None = None
    limit: int = 0
    unused: list[str] = field(default_factory=list)


def preview(editor: Editor) -> Preview:
    """Every variable at its default, or else at its first option, its lowest number or its name."""
    variables: list[Variable] = []
    for row in editor.rows:
        try:
            variables.append(row.variable())
        except Invalid:  # said beside the row when it is saved
            continue
    values = {one.name: _example(one) for one in variables}
    colours = {row.typed["name"].strip(): COLOURS[at % len(COLOURS)] for at, row in enumerate(editor.rows)}
    try:
        text = TemplateText(editor.zh, editor.en, tuple(variables))
        zh, en = (clean_prompt(words, field="text") for words in text.fill(values))
    except Invalid:
        return Preview()
    card = model.card()
    shown = {language: [Piece(name, words, colours.get(name, "")) for name, words in text.parts(language, values)]
             for language in ("zh", "en")}
    return Preview(
        **shown, tokens=counter.count(model.tokenizer_file(), join_prompts(zh, en)) if zh or en else 0,
        limit=card.max_tokens if card else 0, unused=text.unused)


def _example(one: Variable) -> Value:
    if not one.default.empty:
        return Value(one.default.zh or one.default.en, one.default.en or one.default.zh)
    if one.options:
        return Value(one.options[0].zh or one.options[0].en, one.options[0].en or one.options[0].zh)
    if one.kind == VariableKind.NUMBER:
        return Value(*[number_text(1 if one.low is None else one.low)] * 2)
    return Value(*[f"{{{one.name}}}"] * 2)
