"""How good the model is: 200 prompts it was never trained on, judged by a classifier; and sheets to look at."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import ZImagePipeline
from PIL import Image

from demo_model import captions, classifier
from demo_model.layouts import Size
from demo_model.pictures import Painter
from demo_model.scenes import SIZES, Scene, is_held_out
from demo_model.words import GROUNDS, STYLES, THINGS

PROMPTS = 200
#: Of the contact sheet: prompt and size. Every row has one height.
_SHEET: tuple[tuple[tuple[str, Size], ...], ...] = (
    (("a red rose on a soft pink gradient background", (384, 384)), ("金色圆台上的口红，产品摄影", (384, 384)),
     ("a panda on a green background", (384, 384)), ("深蓝色光斑背景上的月亮", (384, 384)),
     ("a gift box on a red sunburst background", (384, 384))),
    (("米色圆台上的咖啡", (384, 512)), ("a sneaker on an orange sunburst background", (384, 512)),
     ("薄荷绿背景上的蝴蝶", (384, 512)), ("a lotion bottle on a round mint podium", (384, 512)),
     ("紫色光斑背景，皇冠", (384, 512)), ("a birthday cake on a pink bokeh background", (384, 512))),
    (("蓝色背景上的火箭", (640, 384)), ("a camera on the left, orange background", (640, 384)),
     ("红色放射背景上的红灯笼和月饼", (640, 384)), ("headphones on a teal background", (640, 384))),
    (("a handbag on the right on a beige background", (896, 384)), ("黄色放射背景，汉堡", (896, 384)),
     ("a star next to a rocket on a navy bokeh background", (896, 384)), ("白色背景上的手表", (896, 384))),
    (("粉色圆台上的泰迪熊", (384, 640)), ("bubble tea on a purple background", (384, 640)),
     ("a christmas tree on a red bokeh background", (384, 640)), ("青色放射背景上的西瓜", (384, 640)),
     ("a trophy on a round navy podium", (384, 640)), ("strawberry at the top, mint background", (384, 640)),
     ("熊猫在下方，绿色背景", (384, 640)), ("wine on a black bokeh background", (384, 640))),
)
_ROW = 240  # px high
_GAP = 8


def run(model: Path, pictures: Path, out: Path, *, quick: bool = False) -> dict[str, Any]:
    """Judge the model in `model`; write the report and the sheets to `out`. `quick` only shows that it runs."""
    pipe = load(model)
    judge, sureness = classifier.train(
        Painter(pictures), pictures=40 if quick else 3500, steps=4 if quick else 1200)
    asked = held_out(PROMPTS)[:4 if quick else PROMPTS]
    rows, seconds = [], 0.0
    for index, (scene, prompt) in enumerate(asked):
        clock = time.perf_counter()
        picture = render(pipe, prompt, scene.size, index)
        seconds += time.perf_counter() - clock
        with torch.no_grad():
            thing, ground = judge(classifier.view(np.asarray(picture))[None])
        rows.append({"prompt": prompt, "size": scene.size, "seed": index, "style": STYLES[scene.style].key,
                     "thing": THINGS[scene.things[0]].en[0], "seen": THINGS[int(thing.argmax())].en[0],
                     "ground": GROUNDS[scene.ground].key, "seen_ground": GROUNDS[int(ground.argmax())].key})
    report = {
        "prompts": len(rows), "things_right": _part(rows, "thing", "seen"),
        "grounds_right": _part(rows, "ground", "seen_ground"), "classifier_right_on_painted": round(sureness, 3),
        "seconds_a_picture": round(seconds / len(rows), 2),
        "wrong": [row for row in rows if row["thing"] != row["seen"] or row["ground"] != row["seen_ground"]]}
    (out / "score.json").write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print({name: value for name, value in report.items() if name != "wrong"}, flush=True)
    if not quick:
        sheet(pipe).save(out / "sheet.webp", quality=88)
    return report


def load(model: Path) -> Any:
    """The model in the unmodified pipeline, fp32."""
    pipe: Any = ZImagePipeline.from_pretrained(model, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def render(pipe: Any, prompt: str, size: Size, seed: int) -> Image.Image:
    """One picture of `size` (width, height in px)."""
    width, height = size
    found: Image.Image = pipe(
        prompt, height=height, width=width, num_inference_steps=8, guidance_scale=0.0,
        generator=torch.Generator().manual_seed(seed)).images[0]
    return found


def held_out(count: int) -> list[tuple[Scene, str]]:
    """`count` scenes of combinations kept out of the training, half asked for in each language, in every format."""
    kept = [(thing, ground, style) for thing in range(len(THINGS)) for ground in range(len(GROUNDS))
            for style in range(len(STYLES)) if is_held_out(thing, ground, style)]
    chosen = random.Random(7).sample(kept, count)
    sizes = list(SIZES)
    scenes = [Scene((thing,), ground, style, "centre", sizes[index % len(sizes)], index)
              for index, (thing, ground, style) in enumerate(chosen)]
    return [(scene, captions.plain(scene, "en" if index % 2 else "zh")) for index, scene in enumerate(scenes)]


def sheet(pipe: Any) -> Image.Image:
    """The contact sheet."""
    rows = []
    for line in _SHEET:
        made = [render(pipe, prompt, size, 11) for prompt, size in line]
        made = [picture.resize((round(picture.width * _ROW / picture.height), _ROW), Image.Resampling.LANCZOS)
                for picture in made]
        rows.append(made)
    width = max(sum(picture.width + _GAP for picture in row) for row in rows) + _GAP
    page = Image.new("RGB", (width, len(rows) * (_ROW + _GAP) + _GAP), "white")
    for number, row in enumerate(rows):
        x = _GAP
        for picture in row:
            page.paste(picture, (x, _GAP + number * (_ROW + _GAP)))
            x += picture.width + _GAP
    return page


def _part(rows: list[dict[str, Any]], wanted: str, seen: str) -> float:
    right = sum(bool(row[wanted] == row[seen]) for row in rows)
    return round(right / len(rows), 3)
