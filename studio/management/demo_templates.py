"""The demo's templates and products, in words that the demo model knows."""

from __future__ import annotations

from dataclasses import dataclass

from studio.domain.productfiles import Row
from studio.domain.variables import Value, Variable, VariableKind
from studio.models import Team, User
from studio.services import products, templates
from studio.services.templates import Content

PRODUCTS = (
    Row("LIP-03", "口红", "lipstick"), Row("TEA-01", "茶", "cup of tea"), Row("BOX-12", "礼物", "gift box"),
    Row("TOY-07", "泰迪熊", "teddy bear"), Row("WAT-02", "手表", "watch"),
)
_TONES = tuple(Value(zh, en) for zh, en in (
    ("金色", "gold"), ("红色", "red"), ("粉色", "pink"), ("绿色", "green"), ("蓝色", "blue"), ("米色", "beige")))
_FESTIVE = tuple(Value(zh, en) for zh, en in (
    ("红灯笼", "red lantern"), ("红包", "red envelope"), ("雪人", "snowman"), ("圣诞树", "christmas tree"),
    ("月饼", "moon cake"), ("生日蛋糕", "birthday cake")))
_SIDES = (Value("在左侧", "on the left"), Value("在右侧", "on the right"))


def _tone(default: int) -> Variable:
    return Variable("tone", VariableKind.COLOUR, Value("色调", "Tone"), default=_TONES[default], options=_TONES)


@dataclass(frozen=True, slots=True)
class Plan:
    """A template of the demo."""

    zh: str
    en: str
    content: Content


TEMPLATES = (
    Plan("静物 · 圆台", "Still life on a podium", Content(
        "{tone}圆台上的{product}", "a {product} on a round {tone} podium", (
            Variable("product", VariableKind.PRODUCT, Value("产品", "Product"), default=Value("口红", "lipstick")),
            _tone(0)), settings={"formats": ["taobao-main", "xiaohongshu-3x4"], "count": 2}, locked=("text",))),
    Plan("节日 · 放射背景", "Festive sunburst", Content(
        "{tone}放射背景上的{thing}", "a {thing} on a {tone} sunburst background", (
            Variable("thing", VariableKind.CHOICE, Value("主角", "Hero"), default=_FESTIVE[0], options=_FESTIVE),
            _tone(1)), settings={"formats": ["xiaohongshu-3x4", "douyin-9x16"]})),
    Plan("留白 · 给标题让位", "Room for a headline", Content(
        "{thing}{side}，{tone}渐变背景", "a {thing} {side}, soft {tone} gradient background", (
            Variable("thing", VariableKind.TEXT, Value("主角", "Hero"), default=Value("茶", "cup of tea"),
                     max_length=24),
            Variable("side", VariableKind.CHOICE, Value("位置", "Place"), default=_SIDES[0], options=_SIDES),
            _tone(5)), settings={"formats": ["wechat-lead"]})),
)


def make(team: Team, *, maker: User, publisher: User) -> None:
    """All of them, through the same road as people's own."""
    for row in PRODUCTS:
        products.add(user=maker, team=team, row=row)
    for plan in TEMPLATES:
        made = templates.create(user=maker, team=team, name_zh=plan.zh, name_en=plan.en, content=plan.content)
        templates.publish(user=publisher, template=made, seen=made.versions.get().edited_at)
