from __future__ import annotations

from random import Random

import pytest

from studio.domain.errors import Invalid
from studio.domain.ideas import GENERAL, MAX_IDEA_CHARS, Grammar, clean_idea, expand, fit
from studio.domain.templating import TemplateText
from studio.domain.variables import Value, Variable, VariableKind

GOLD, PINK = Value("金色", "gold"), Value("粉色", "pink")
SMALL = Grammar(
    things=(Value("口红", "lipstick"), Value("红玫瑰", "red rose"), Value("苹果", "apple")), colours=(GOLD, PINK),
    grounds=(Value("圆台", "round podium"),), places=(Value("在左侧", "on the left"),))


@pytest.mark.parametrize(("idea", "zh", "en"), [
    ("lipstick, gold", "金色圆台上的口红", "a lipstick on a gold round podium"),
    ("金色的口红", "金色圆台上的口红", "a lipstick on a gold round podium"),
    ("RED ROSE on the left, pink", "粉色圆台上的红玫瑰，在左侧", "a red rose on the left on a pink round podium"),
    ("an apple on gold", "金色圆台上的苹果", "an apple on a gold round podium"),
    ("金色 teapot", "金色圆台上的teapot", "a teapot on a gold round podium"),
    ("金色 茶壶", "金色圆台上的茶壶", "茶壶 on a gold round podium"),
])
def test_an_idea_becomes_a_prompt_in_both_languages(idea: str, zh: str, en: str) -> None:
    assert expand(idea, SMALL, Random(1)) == Value(zh, en)


def test_what_the_idea_leaves_open_is_drawn_and_ends_with_a_finish() -> None:
    made = {expand("teapot", GENERAL, Random(seed)) for seed in range(40)}
    assert len(made) > 20
    assert all("teapot" in one.zh and one.en.startswith("a teapot on a ") for one in made)
    assert {one.en.split(", ")[1] for one in made} == {finish.en.split(", ")[0] for finish in GENERAL.finishes}


@pytest.mark.parametrize("idea", ["", "  \n", "x" * (MAX_IDEA_CHARS + 1)])
def test_no_idea_and_a_whole_text_are_refused(idea: str) -> None:
    with pytest.raises(Invalid) as refused:
        clean_idea(idea)
    assert refused.value.field == "idea"


TONE = Variable("tone", VariableKind.CHOICE, options=(GOLD, PINK))
THING = Variable("thing", VariableKind.TEXT)
SKU = Variable("product", VariableKind.PRODUCT)
TEXTS = {
    1: TemplateText("{tone}{thing}", "{tone} {thing}", (TONE, THING)),
    2: TemplateText("{tone}{product}", "{tone} {product}", (TONE, SKU)),
    3: TemplateText("{thing}", "{thing}", (THING,)),
}
TEA = Value("冬茶", "winter tea")


def test_the_template_whose_options_are_named_most_is_filled() -> None:
    one = fit("pink teapot", TEXTS, [TEA])
    assert one and one.key == 1 and one.values == {"tone": PINK, "thing": Value("teapot", "teapot")}
    two = fit("冬茶，粉色", TEXTS, [TEA])
    assert two and two.key == 2 and two.values == {"tone": PINK, "product": TEA}


@pytest.mark.parametrize("idea", ["teapot", "", "pinkish teapot", "冬茶"])
def test_an_idea_that_names_no_option_or_leaves_a_hole_fits_nothing(idea: str) -> None:
    assert fit(idea, TEXTS, [TEA]) is None


def test_a_template_that_would_leave_a_word_out_does_not_fit() -> None:
    hero = Variable("hero", VariableKind.CHOICE, options=(TEA, Value("礼盒", "gift box")), default=TEA)
    festive = {4: TemplateText("{tone}{hero}", "{tone} {hero}", (TONE, hero))}
    assert fit("pink rocket", festive, []) is None
    whole = fit("a gift box, pink", festive, [])
    assert whole and whole.values == {"tone": PINK, "hero": Value("礼盒", "gift box")}
