"""A sentence about a scene, in Chinese, in English or in both as the studio joins them (`中文 | English`)."""

from __future__ import annotations

import random
from collections.abc import Sequence

from demo_model.scenes import Scene
from demo_model.words import GROUNDS, STYLES, THINGS, Ground

_ADJECTIVES_EN = ("", "", "", "", "", "cute ", "elegant ", "shiny ", "luxury ", "beautiful ", "premium ", "fresh ")
_ADJECTIVES_ZH = ("", "", "", "", "", "可爱的", "精致的", "闪亮的", "高级的", "漂亮的", "优雅的", "新鲜的")
_OPENINGS_EN = ("", "", "", "", "", "product photo of ", "poster of ", "a picture of ", "3d render of ",
                "advertising image of ", "campaign picture of ")
_OPENINGS_ZH = ("", "", "", "", "", "产品图，", "海报，", "电商主图，", "一张图片，", "3D渲染，", "营销海报，")
_CLOSINGS_EN = ("", "", "", "", "", ", high quality", ", studio lighting", ", 4k, detailed", ", clean composition",
                ", commercial photography", ", product photography")
_CLOSINGS_ZH = ("", "", "", "", "", "，高清", "，影棚灯光", "，细节丰富", "，构图简洁", "，商业摄影", "，产品摄影")
_LONG_EN = ("big summer sale, up to fifty percent off this weekend only",
            "new arrival for the spring festival, limited edition for members",
            "hero image for the online shop with generous copy space and soft shadows",
            "for a brand campaign on social media, warm and friendly mood")
_LONG_ZH = ("双十一大促全场五折起限时抢购", "新品上市春节限定会员专享", "适合品牌社交媒体宣传，温暖友好的氛围",
            "电商主图，留白充足，阴影柔和，质感高级")
_SIDES_EN = {
    "left": (" on the left", " on the left side", ", copy space on the right"),
    "right": (" on the right", " on the right side", ", copy space on the left"),
    "top": (" at the top", ", copy space below", ", copy space at the bottom"),
    "bottom": (" at the bottom", ", copy space above", ", copy space at the top"),
    "centre": ("", "", "", "", "", " in the centre", " in the middle"),
}
_SIDES_ZH = {
    "left": ("在左侧", "位于左边", "，右侧留白"), "right": ("在右侧", "位于右边", "，左侧留白"),
    "top": ("在上方", "位于上部", "，下方留白"), "bottom": ("在下方", "位于下部", "，上方留白"),
    "centre": ("", "", "", "", "", "居中", "在中间"),
}
_STRANGE_SYLLABLES = ("ba", "dor", "ki", "lun", "mex", "nor", "pel", "qua", "ri", "sto", "tun", "vex", "wol", "zan")


def caption(scene: Scene, rng: random.Random, *, long: bool = False) -> str:
    """One of the many ways to say what `scene` shows; a `long` one has filling, or both languages."""
    if not long:
        return _english(scene, rng) if rng.random() < .5 else _chinese(scene, rng)
    if rng.random() < .6:
        return f"{_chinese(scene, rng)} | {_english(scene, rng)}"
    write, filling, gap = rng.choice(((_english, _LONG_EN, ", "), (_chinese, _LONG_ZH, "，")))
    parts = [write(scene, rng), rng.choice(filling)]
    rng.shuffle(parts)
    return gap.join([*parts, rng.choice(filling)] if rng.random() < .4 else parts)


def plain(scene: Scene, language: str) -> str:
    """The plainest sentence about a single thing, `language` being "en" or "zh"."""
    thing, ground, style = THINGS[scene.things[0]], GROUNDS[scene.ground], STYLES[scene.style]
    if language == "en":
        return f"{_article(thing.en[0])} on {_article(style.en[0].format(c=ground.en[0]))}"
    return f"{style.zh[0].format(c=ground.zh[0])}上的{thing.zh[0]}"


def _english(scene: Scene, rng: random.Random) -> str:
    names = [rng.choice(_ADJECTIVES_EN) + (_name(rng, THINGS[thing].en) if scene.known else _strange_en(rng))
             for thing in scene.things]
    names = [_article(name) if rng.random() < .75 else name for name in names]
    if scene.place == "pair":
        first, second = names
        what = rng.choice((
            f"{first} and {second}", f"{first} and {second}", f"{first} next to {second}",
            f"{first} on the left and {second} on the right", f"{first} to the left of {second}"))
    else:
        what = names[0] + rng.choice(_SIDES_EN[scene.place])
    ground = _ground(scene, rng, "en")
    if ground:
        joined = rng.choice((f"{what} on {_article(ground)}", f"{what} on {_article(ground)}",
                             f"{what}, {ground}", f"{what} with {_article(ground)}", f"{ground} with {what}"))
    else:
        joined = what
    text = rng.choice(_OPENINGS_EN) + joined + rng.choice(_CLOSINGS_EN)
    return text[0].upper() + text[1:] if rng.random() < .3 else text


def _chinese(scene: Scene, rng: random.Random) -> str:
    names = []
    for thing in scene.things:
        name = rng.choice(_ADJECTIVES_ZH) + (_name(rng, THINGS[thing].zh) if scene.known else _strange_zh(rng))
        counted = f"一{THINGS[thing].measure if rng.random() < .7 else '个'}{name}"
        names.append(counted if rng.random() < .3 else name)
    if scene.place == "pair":
        first, second = names
        what = rng.choice((f"{first}和{second}", f"{first}和{second}", f"{first}与{second}",
                           f"左边是{first}，右边是{second}", f"{first}在左，{second}在右"))
        side = ""
    else:
        what, side = names[0], rng.choice(_SIDES_ZH[scene.place])
    ground = _ground(scene, rng, "zh")
    if ground:
        joined = rng.choice((f"{ground}上的{what}{side}", f"{what}{side}，{ground}", f"{ground}，{what}{side}",
                             f"{what}{side}放在{ground}上" if not side.startswith("，") else f"{what}{side}，{ground}"))
    else:
        joined = what + side
    return rng.choice(_OPENINGS_ZH) + joined + rng.choice(_CLOSINGS_ZH)


def _ground(scene: Scene, rng: random.Random, language: str) -> str:
    """The phrase for the background, as much of it as the scene says."""
    ground: Ground = GROUNDS[scene.ground]
    style = STYLES[scene.style]
    if scene.says_colour:
        phrases = style.en if language == "en" else style.zh
        return rng.choice(phrases).format(c=_name(rng, ground.en if language == "en" else ground.zh))
    if scene.says_style:
        return rng.choice(style.bare_en if language == "en" else style.bare_zh)
    return ""


def _name(rng: random.Random, names: Sequence[str]) -> str:
    return names[0] if rng.random() < .6 else rng.choice(names)


def _article(name: str) -> str:
    return ("an " if name[0] in "aeiou" else "a ") + name


def _strange_en(rng: random.Random) -> str:
    """A word that means nothing: what the model has not learned still gets a thing that it has."""
    return "".join(rng.choice(_STRANGE_SYLLABLES) for _ in range(rng.randint(1, 4)))


def _strange_zh(rng: random.Random) -> str:
    return "".join(chr(rng.randint(0x4E00, 0x9000)) for _ in range(rng.randint(1, 4)))
