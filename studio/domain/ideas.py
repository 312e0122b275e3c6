"""From a short idea to a whole prompt in both languages, by a small grammar: nothing is asked outside."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.templating import TemplateText
from studio.domain.variables import Value, VariableKind

MAX_IDEA_CHARS = 200
_CHINESE = re.compile(r"[\u3400-\u9fff]")
#: What joins the words of an idea and says nothing by itself.
_GLUE = re.compile(r"\b(?:a|an|the|on|in|with|of|at|and)\b|[的上在，。,.;；、]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Grammar:
    """The words a prompt is made of. `things` are known by both names; a finish ends the prompt, or there is none."""

    things: tuple[Value, ...]
    colours: tuple[Value, ...]
    grounds: tuple[Value, ...]
    places: tuple[Value, ...]
    finishes: tuple[Value, ...] = ()


#: Words that every model knows.
GENERAL = Grammar(
    things=(),
    colours=tuple(Value(*pair) for pair in (
        ("红色", "red"), ("粉色", "pink"), ("橙色", "orange"), ("黄色", "yellow"), ("金色", "gold"), ("绿色", "green"),
        ("蓝色", "blue"), ("紫色", "purple"), ("米色", "beige"), ("白色", "white"), ("灰色", "grey"),
        ("黑色", "black"))),
    grounds=tuple(Value(*pair) for pair in (
        ("渐变背景", "gradient background"), ("圆台", "round plinth"), ("绸缎", "silk"), ("石板", "stone slab"),
        ("木桌", "wooden table"), ("纯色背景", "seamless background"))),
    places=tuple(Value(*pair) for pair in (("在左侧", "on the left"), ("在右侧", "on the right"))),
    finishes=tuple(Value(*pair) for pair in (
        ("商业产品摄影，柔和侧光，细节清晰，上方留白",
         "commercial product photo, soft side light, crisp details, empty space above"),
        ("静物摄影，逆光，长而干净的影子，浅景深",
         "still life photo, back light, long clean shadow, shallow depth of field"),
        ("杂志封面风格，明亮的自然光，质感细腻", "magazine cover style, bright natural light, fine textures"))))


@dataclass(frozen=True, slots=True)
class Fit:
    """A template that an idea fits, by its key, and what it puts into the variables."""

    key: int
    values: dict[str, Value]


def clean_idea(text: str) -> str:
    """The idea in one line. Raises Invalid (field "idea") for an empty or a long one."""
    idea = " ".join(text.split())
    if not idea:
        raise Invalid(_("Write your idea in a few words first."), field="idea")
    if len(idea) > MAX_IDEA_CHARS:
        raise Invalid(_("An idea has at most %(limit)d characters; a longer text is a prompt already."), field="idea",
                      limit=MAX_IDEA_CHARS)
    return idea


def expand(idea: str, grammar: Grammar, random: Random) -> Value:
    """A prompt in both languages about `idea`: what it leaves open is drawn from the grammar.

    A thing that the grammar doesn't know keeps its name in both languages.
    """
    rest, found = idea, {}
    for part in ("things", "grounds", "places", "colours"):
        found[part], rest = _take(rest, getattr(grammar, part))
    thing = found["things"] or _named(rest)
    colour = found["colours"] or random.choice(grammar.colours)
    ground = found["grounds"] or random.choice(grammar.grounds)
    place = found["places"] or Value()
    finish = random.choice(grammar.finishes) if grammar.finishes else Value()
    english = " ".join(filter(None, (_with_article(thing.en), place.en, f"on a {colour.en} {ground.en}")))
    chinese = f"{colour.zh}{ground.zh}上的{thing.zh}" + (f"，{place.zh}" if place.zh else "")
    return Value("，".join(filter(None, (chinese, finish.zh))), ", ".join(filter(None, (english, finish.en))))


def _with_article(name: str) -> str:
    if _CHINESE.search(name) or name.endswith("s") or not name:
        return name
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def fit(idea: str, templates: Mapping[int, TemplateText], products: Sequence[Value]) -> Fit | None:
    """The template most of whose options the idea names, filled with them; None when it names none of any.

    Every word of the idea goes into the prompt: a template with no place for one does not fit.
    """
    best: tuple[int, Fit] | None = None
    for key, text in templates.items():
        rest, values = idea, {}
        for variable in text.variables:
            options = products if variable.kind == VariableKind.PRODUCT else variable.options
            option, rest = _take(rest, options)
            if option:
                values[variable.name] = option
        named = len(values)
        thing = _named(rest)
        for variable in text.variables:
            if variable.kind == VariableKind.TEXT and not thing.empty and (variable.required or named):
                values[variable.name] = thing
                break
        else:
            if not thing.empty:  # it would leave a word of the idea out
                continue
        if named and not text.problems(values) and (best is None or named > best[0]):
            best = named, Fit(key, values)
    return best[1] if best else None


def _take(text: str, options: Iterable[Value]) -> tuple[Value | None, str]:
    """The option with the longest name in `text`, and the text without that name."""
    names = sorted(((name, option) for option in options for name in (option.zh, option.en) if name),
                   key=lambda pair: -len(pair[0]))
    for name, option in names:
        match = re.search(re.escape(name) if _CHINESE.search(name) else rf"(?<!\w){re.escape(name)}(?!\w)", text,
                          re.IGNORECASE)
        if match:
            return Value(option.zh or option.en, option.en or option.zh), f"{text[:match.start()]} {text[match.end():]}"
    return None, text


def _named(rest: str) -> Value:
    """What is left of an idea, without the words that joined it."""
    name = " ".join(_GLUE.sub(" ", rest).split())
    return Value(name, name)
