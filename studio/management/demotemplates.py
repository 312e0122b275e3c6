"""Templates of the demo, made for the demo model's world."""

from __future__ import annotations

from studio.domain.variables import Value, Variable, VariableKind
from studio.models import Product, PromptTemplate, Team, User
from studio.services import templates
from studio.services.templates import Content

TONES = tuple(Value(*pair) for pair in (
    ("粉色", "pink"), ("金色", "gold"), ("蓝色", "blue"), ("绿色", "green"), ("米色", "beige"), ("深蓝色", "navy")))
GROUNDS = tuple(Value(*pair) for pair in (
    ("圆台", "round podium"), ("放射背景", "sunburst background"), ("渐变背景", "gradient background"),
    ("光斑背景", "background with bokeh lights")))
TONE = Variable("tone", VariableKind.CHOICE, Value("色调", "Tone"), options=TONES)
GROUND = Variable("ground", VariableKind.CHOICE, Value("背景", "Background"), options=GROUNDS)
PRODUCT = Variable(
    "product", VariableKind.TEXT, Value("产品", "Product"), default=Value("口红", "lipstick"), max_length=20)
SIDE = Variable("side", VariableKind.CHOICE, Value("位置", "Place"), options=(
    Value("在左侧", "on the left"), Value("在右侧", "on the right")))

#: (names, content)
TEMPLATES = (
    (Value("产品图 · 纯色台面", "Product shot"), Content(
        "{tone}{ground}上的{product}", "a {product} on a {tone} {ground}", (PRODUCT, TONE, GROUND))),
    (Value("横幅 · 一侧留白", "Banner with space"), Content(
        "{product}{side}，{tone}渐变背景", "a {product} {side}, soft {tone} gradient background", (PRODUCT, SIDE, TONE),
        {"formats": ["wechat-lead", "x-card"], "count": 2}, ("formats",))),
    (Value("礼单 · 选一件产品", "Gift list"), Content(
        "{ware}，{tone}圆台", "{ware} on a round {tone} podium", (
            Variable("ware", VariableKind.PRODUCT, Value("产品", "Product")), TONE))),
)
PRODUCTS = (("YL-001", "红灯笼", "a red lantern"), ("YL-002", "礼物", "a gift box"), ("YL-003", "茶", "a cup of tea"),
            ("YL-004", "月饼", "a moon cake"), ("YL-005", "红包", "a red envelope"))


def make_templates(team: Team, maker: User, publisher: User) -> None:
    """Make them and publish them; not again where there are any."""
    if PromptTemplate.objects.filter(team=team).exists():
        return
    Product.objects.bulk_create(Product(team=team, sku=sku, name_zh=zh, name_en=en) for sku, zh, en in PRODUCTS)
    for name, content in TEMPLATES:
        made = templates.create(user=maker, team=team, name_zh=name.zh, name_en=name.en, content=content)
        templates.publish(user=publisher, template=made, seen=made.versions.get().edited_at)
