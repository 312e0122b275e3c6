"""The small world: what the model knows, by name in both languages. The single source of every other module."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Thing:
    """An object: its picture's code point, names by language (the first is used most), measure word, usual ground."""

    code: str
    en: tuple[str, ...]
    zh: tuple[str, ...]
    measure: str
    ground: str


@dataclass(frozen=True, slots=True)
class Ground:
    """A background colour: its names by language and the sRGB tones that it runs between."""

    key: str
    en: tuple[str, ...]
    zh: tuple[str, ...]
    light: Colour
    deep: Colour


@dataclass(frozen=True, slots=True)
class Style:
    """A kind of background with the phrases for it; `{c}` stands for the colour's name."""

    key: str
    en: tuple[str, ...]
    zh: tuple[str, ...]
    bare_en: tuple[str, ...]
    bare_zh: tuple[str, ...]


# code | names | 名称 | measure word | usual ground
_THINGS = """
1f381 | gift box, gift, present | 礼物, 礼盒, 礼品 | 个 | red
1f339 | red rose, rose | 红玫瑰, 玫瑰, 玫瑰花 | 朵 | pink
1f490 | bouquet, flower bouquet, flowers | 花束, 鲜花 | 束 | mint
1f33b | sunflower | 向日葵 | 朵 | blue
1f484 | lipstick | 口红, 唇膏 | 支 | gold
1f48d | ring, diamond ring | 戒指, 钻戒 | 枚 | pink
1f48e | diamond, gem, jewel | 钻石, 宝石 | 颗 | navy
1f45c | handbag, bag | 手提包, 包包, 女包 | 个 | beige
1f6cd | shopping bags, shopping bag | 购物袋 | 个 | yellow
1f45f | sneaker, running shoe, sneakers | 运动鞋, 跑鞋, 球鞋 | 双 | orange
1f460 | high heel, high-heeled shoe | 高跟鞋 | 双 | beige
1f457 | dress | 连衣裙, 裙子 | 条 | pink
1f576 | sunglasses | 墨镜, 太阳镜 | 副 | yellow
1f451 | crown, gold crown | 皇冠, 王冠 | 顶 | purple
231a | watch, wristwatch | 手表, 腕表 | 块 | grey
23f0 | alarm clock, clock | 闹钟, 时钟 | 个 | mint
1f4f1 | phone, smartphone, mobile phone | 手机, 智能手机 | 部 | blue
1f4bb | laptop, computer | 笔记本电脑, 电脑 | 台 | grey
1f3a7 | headphones, headphone | 耳机 | 副 | teal
1f4f7 | camera | 相机, 照相机 | 台 | orange
1f4a1 | light bulb, bulb | 灯泡 | 个 | navy
1f4e2 | loudspeaker, megaphone | 喇叭, 扩音器 | 个 | yellow
1f4b0 | money bag | 钱袋 | 个 | red
1f6d2 | shopping cart | 购物车 | 辆 | blue
1f4e6 | package, parcel, box | 包裹, 快递, 纸箱 | 个 | beige
1f9f4 | lotion bottle, cosmetic bottle, skincare bottle | 护肤品, 乳液, 化妆品 | 瓶 | mint
1f9f8 | teddy bear, toy bear | 泰迪熊, 玩具熊 | 只 | pink
1f388 | balloon, red balloon | 气球, 红气球 | 只 | blue
1f380 | ribbon, pink bow, bow | 蝴蝶结, 丝带 | 个 | beige
1f3c6 | trophy, gold trophy, cup | 奖杯 | 座 | navy
1f9e7 | red envelope | 红包 | 个 | gold
1f3ee | red lantern, lantern | 红灯笼, 灯笼 | 盏 | gold
1f386 | fireworks | 烟花, 焰火 | 束 | purple
1f384 | christmas tree | 圣诞树 | 棵 | red
1f383 | pumpkin lantern, pumpkin, jack-o-lantern | 南瓜灯, 南瓜 | 个 | purple
1f382 | birthday cake, cake | 生日蛋糕, 蛋糕 | 个 | pink
1f9c1 | cupcake | 纸杯蛋糕 | 个 | mint
1f96e | moon cake, mooncake | 月饼 | 块 | navy
1f369 | donut, doughnut | 甜甜圈 | 个 | teal
1f366 | ice cream, ice cream cone | 冰淇淋, 冰激凌 | 支 | blue
1f354 | hamburger, burger | 汉堡 | 个 | yellow
1f355 | pizza | 披萨 | 块 | green
2615 | coffee, cup of coffee, coffee cup | 咖啡 | 杯 | beige
1f375 | tea, cup of tea, green tea | 茶, 绿茶 | 杯 | green
1f9cb | bubble tea, milk tea | 珍珠奶茶, 奶茶 | 杯 | purple
1f377 | wine, glass of wine, red wine | 红酒, 葡萄酒 | 杯 | black
1f353 | strawberry | 草莓 | 颗 | mint
1f34e | red apple, apple | 红苹果, 苹果 | 个 | green
1f349 | watermelon | 西瓜 | 块 | teal
1f43c | panda | 熊猫 | 只 | green
1f432 | dragon | 龙, 中国龙 | 条 | red
1f430 | rabbit, bunny | 兔子 | 只 | purple
1f431 | cat, kitten | 猫, 小猫 | 只 | blue
1f98b | butterfly | 蝴蝶 | 只 | mint
2764 | red heart, heart | 爱心, 红心 | 颗 | pink
2b50 | star, gold star | 星星, 金星 | 颗 | navy
1f319 | crescent moon, moon | 月亮, 弯月 | 轮 | navy
1f308 | rainbow | 彩虹 | 道 | white
26c4 | snowman | 雪人 | 个 | blue
1f3d4 | mountain, snowy mountain | 雪山, 山 | 座 | teal
2602 | umbrella | 雨伞, 伞 | 把 | grey
1f680 | rocket | 火箭 | 枚 | navy
1f697 | car, red car | 汽车, 轿车 | 辆 | white
1f30d | globe, earth | 地球 | 个 | black
"""


def _things() -> tuple[Thing, ...]:
    found = []
    for line in _THINGS.strip().splitlines():
        code, en, zh, measure, ground = (part.strip() for part in line.split("|"))
        found.append(Thing(code, tuple(en.split(", ")), tuple(zh.split(", ")), measure, ground))
    return tuple(found)


THINGS = _things()

GROUNDS = (
    Ground("red", ("red",), ("红色", "大红色"), (255, 116, 104), (190, 18, 32)),
    Ground("pink", ("pink", "rose pink"), ("粉色", "粉红色"), (255, 226, 233), (246, 148, 180)),
    Ground("orange", ("orange", "warm orange"), ("橙色", "暖橙色"), (255, 200, 132), (243, 122, 36)),
    Ground("yellow", ("yellow",), ("黄色",), (255, 243, 150), (250, 204, 40)),
    Ground("gold", ("gold", "golden"), ("金色",), (238, 208, 130), (170, 116, 32)),
    Ground("green", ("green",), ("绿色",), (176, 228, 146), (50, 140, 70)),
    Ground("mint", ("mint", "mint green"), ("薄荷绿", "浅绿色"), (225, 250, 238), (140, 218, 190)),
    Ground("teal", ("teal", "cyan"), ("青色",), (140, 224, 226), (18, 132, 144)),
    Ground("blue", ("blue", "sky blue"), ("蓝色", "天蓝色"), (186, 222, 255), (62, 138, 232)),
    Ground("navy", ("navy", "dark blue"), ("深蓝色", "藏青色"), (58, 86, 160), (14, 24, 66)),
    Ground("purple", ("purple", "violet"), ("紫色",), (206, 168, 245), (106, 58, 178)),
    Ground("beige", ("beige", "cream"), ("米色", "奶油色"), (250, 241, 226), (222, 198, 166)),
    Ground("white", ("white", "light"), ("白色", "浅色"), (255, 255, 255), (232, 235, 241)),
    Ground("grey", ("grey", "gray", "silver"), ("灰色", "银色"), (214, 218, 224), (128, 134, 146)),
    Ground("black", ("black", "dark"), ("黑色", "深色"), (74, 76, 84), (14, 14, 18)),
)

STYLES = (
    Style("studio",
          ("{c} background", "{c} gradient background", "soft {c} gradient background", "soft {c} background",
           "plain {c} background"),
          ("{c}背景", "{c}渐变背景", "柔和的{c}渐变背景", "纯{c}背景"),
          ("plain background", "gradient background"), ("纯色背景", "渐变背景")),
    Style("podium",
          ("{c} podium", "{c} product podium", "round {c} podium", "{c} display stand"),
          ("{c}展台", "{c}圆台", "{c}产品展台", "{c}圆形展台"),
          ("podium", "product podium"), ("展台", "圆台")),
    Style("bokeh",
          ("{c} bokeh background", "{c} background with bokeh lights", "sparkling {c} background"),
          ("{c}光斑背景", "{c}梦幻光斑背景", "{c}闪光背景"),
          ("bokeh background", "background with bokeh lights"), ("光斑背景", "梦幻光斑背景")),
    Style("sunburst",
          ("{c} sunburst background", "{c} background with light rays", "{c} sunburst"),
          ("{c}放射背景", "{c}放射光线背景", "{c}光芒背景"),
          ("sunburst background", "background with light rays"), ("放射背景", "光芒背景")),
)

#: Where a single thing can stand; "pair" is two things side by side.
PLACES = ("centre", "left", "right", "top", "bottom", "pair")

_GROUND_INDEX = {ground.key: index for index, ground in enumerate(GROUNDS)}


def usual_ground(thing: int) -> int:
    """The index of the ground that a thing stands on when the prompt names no colour."""
    return _GROUND_INDEX[THINGS[thing].ground]
