from __future__ import annotations

from typing import Any

import pytest

from studio.domain.errors import Invalid
from studio.domain.templating import MAX_VARIABLES, TemplateText, combinations, placeholders
from studio.domain.variables import MAX_VALUE_CHARS, Value, Variable, VariableKind

PINK, BLUE = Value("粉色", "pink"), Value("蓝色", "blue")
PRODUCT = Variable("product", VariableKind.TEXT, max_length=6, default=Value("玫瑰", "rose"))
TONE = Variable("tone", VariableKind.CHOICE, options=(PINK, BLUE))
EXTRA = Variable("extra", VariableKind.TEXT, required=False)
TEXT = TemplateText("{tone}背景上的{product}{extra}", "a {product} on {tone}{{}} {extra}", (PRODUCT, TONE, EXTRA))


def test_both_languages_are_filled() -> None:
    values = TEXT.clean({"tone": Value("蓝色")})
    assert TEXT.fill(values) == ("蓝色背景上的玫瑰", "a rose on blue{} ")
    values = TEXT.clean({"tone": PINK, "product": Value("", "lily")})
    assert TEXT.fill(values) == ("粉色背景上的lily", "a lily on pink{} ")


def test_a_value_is_not_read_as_text_of_the_template() -> None:
    values = TEXT.clean({"tone": PINK, "product": Value("{tone}")})
    assert TEXT.fill(values)[0] == "粉色背景上的{tone}"


def test_every_problem_is_told_at_once() -> None:
    found = TEXT.problems({"product": Value("toolong"), "tone": Value("green")})
    assert [error.field for error in found] == ["product", "tone"]
    assert [error.field for error in TEXT.problems({})] == ["tone"]
    with pytest.raises(Invalid, match="tone"):
        TEXT.clean({})


@pytest.mark.parametrize(("variable", "given", "want"), [
    (TONE, Value("", "BLUE"), BLUE), (TONE, Value("蓝色", "blue"), BLUE), (TONE, Value(" pink "), PINK),
    (Variable("c", VariableKind.COLOUR), Value("#C8102E"), Value("#C8102E", "#C8102E")),
    (Variable("c", VariableKind.COLOUR, options=(PINK,)), Value("PINK"), PINK),
    (Variable("n", VariableKind.NUMBER, low=1, high=3), Value("2.5"), Value("2.5", "2.5")),
    (EXTRA, Value("  "), Value()), (PRODUCT, Value("一二三四五六"), Value("一二三四五六", "一二三四五六")),
    (Variable("p", VariableKind.PICTURE, required=False), Value(), Value()),
])
def test_values_are_cleaned(variable: Variable, given: Value, want: Value) -> None:
    assert variable.clean(given) == want


@pytest.mark.parametrize(("variable", "given", "why"), [
    (TONE, Value("green"), "not among"), (PRODUCT, Value("1234567"), "at most 6"), (PRODUCT, Value(), "missing"),
    (PRODUCT, Value("a\nb"), "one line"), (EXTRA, Value("x" * (MAX_VALUE_CHARS + 1)), "characters"),
    (Variable("n", VariableKind.NUMBER), Value("two"), "is a number"),
    (Variable("n", VariableKind.NUMBER), Value("nan"), "is a number"),
    (Variable("n", VariableKind.NUMBER), Value("inf"), "is a number"),
    (Variable("n", VariableKind.NUMBER, low=1), Value("0"), "at least 1"),
    (Variable("n", VariableKind.NUMBER, high=3), Value("4"), "at most 3"),
    (Variable("n", VariableKind.NUMBER, high=3), Value("2", "4"), "at most 3"),
    (Variable("c", VariableKind.COLOUR), Value("red"), "no colour"),
    (Variable("c", VariableKind.COLOUR, options=(PINK,)), Value("#C8102E"), "no colour"),
])
def test_a_wrong_value_is_refused_by_name(variable: Variable, given: Value, why: str) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        variable.clean(given)
    assert refused.value.field == variable.name


@pytest.mark.parametrize(("fields", "why"), [
    ({"name": "Two words"}, "small Latin"), ({"name": "é"}, "small Latin"),
    ({"kind": VariableKind.CHOICE}, "choose from"), ({"options": (PINK, PINK)}, "twice"),
    ({"max_length": -1}, "limited"), ({"low": 2.0, "high": 1.0}, "above"),
    ({"default": Value("x" * 9), "max_length": 8}, "at most 8"), ({"options": tuple(
        Value(str(n)) for n in range(201))}, "At most 200"),
])
def test_a_variable_that_makes_no_sense(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(Invalid, match=why):
        Variable(**({"name": "x", "kind": VariableKind.TEXT} | fields))


@pytest.mark.parametrize(("zh", "en", "field", "why"), [
    ("{nobody}", "", "text_zh", "no such variable"), ("", "{", "text_en", "single"), ("}", "", "text_zh", "single"),
    ("{Upper}", "", "text_zh", "single"), ("x" * 2001, "", "text_zh", "2001"), ("", "{photo}", "text_en", "picture"),
])
def test_a_text_that_cannot_be_filled(zh: str, en: str, field: str, why: str) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        TemplateText(zh, en, (Variable("photo", VariableKind.PICTURE),))
    assert refused.value.field == field


def test_variables_are_few_and_have_names_of_their_own() -> None:
    with pytest.raises(Invalid, match="two variables"):
        TemplateText("", "", (PRODUCT, PRODUCT))
    with pytest.raises(Invalid, match="at most"):
        TemplateText("", "", tuple(Variable(f"v{n}", VariableKind.TEXT) for n in range(MAX_VARIABLES + 1)))


def test_unused_variables_are_named() -> None:
    assert TemplateText("{a}", "", tuple(Variable(name, kind) for name, kind in (
        ("a", VariableKind.TEXT), ("b", VariableKind.TEXT), ("c", VariableKind.PICTURE)))).unused == ["b"]


def test_placeholders_in_their_order() -> None:
    assert placeholders("{b} {{a}} {a} {b}") == ["b", "a"]


def test_every_combination() -> None:
    found = list(combinations({"tone": [PINK, BLUE], "product": [Value("a"), Value("b")]}))
    assert [(one["tone"].en, one["product"].zh) for one in found] == [
        ("pink", "a"), ("pink", "b"), ("blue", "a"), ("blue", "b")]


@pytest.mark.parametrize("variable", [
    PRODUCT, TONE, EXTRA, Variable("n", VariableKind.NUMBER, low=0.5, high=3.0, label=Value("数", "number"))])
def test_variables_go_to_json_and_back(variable: Variable) -> None:
    assert Variable.from_json(variable.as_json()) == variable


@pytest.mark.parametrize("found", [
    {}, {"name": "x"}, {"name": "x", "kind": "spell"}, {"name": "x", "kind": "number", "low": "a"},
    {"name": "x", "kind": "number", "low": "nan"}, {"name": "x", "kind": "text", "options": 5},
    {"name": "x", "kind": "text", "default": 5}, {"name": "x", "kind": "text", "max_length": "long"}, [], "x", None,
])
def test_json_that_is_no_variable(found: Any) -> None:
    with pytest.raises(Invalid):
        Variable.from_json(found)
