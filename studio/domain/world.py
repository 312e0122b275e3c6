"""The small world of a demo model: what it can draw, by name in both languages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Word:
    """Something that can be asked for. `tones`: the two sRGB colours, `#rrggbb`, that a background runs between."""

    name_en: str
    name_zh: str
    tones: tuple[str, ...] = ()


#: Prompts that show what can be said: each kind of background, two things, a thing at a side.
EXAMPLES = (
    Word("a lipstick on a round gold podium", "金色圆台上的口红"),
    Word("a gift box on a red sunburst background", "红色放射背景上的礼物"),
    Word("a star and a panda on a soft navy gradient background", "深蓝色渐变背景上的星星和熊猫"),
    Word("a teddy bear on a pink background with bokeh lights", "粉色光斑背景上的泰迪熊"),
    Word("a cup of tea on the left, soft beige gradient background", "茶在左侧，米色渐变背景"),
    Word("a panda on a round green podium", "绿色圆台上的熊猫"),
)


@dataclass(frozen=True, slots=True)
class World:
    """The things, the colours and kinds of backgrounds, and the places that a model has learned."""

    things: tuple[Word, ...]
    grounds: tuple[Word, ...]
    styles: tuple[Word, ...]
    places: tuple[Word, ...]

    def examples(self) -> list[Word]:
        """The EXAMPLES whose thing is in this world."""
        return [example for example in EXAMPLES if any(thing.name_en in example.name_en for thing in self.things)]
