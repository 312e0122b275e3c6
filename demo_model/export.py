"""The finished model as the studio takes it: diffusers layout, half precision, its card and its words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import ZImagePipeline, ZImageTransformer2DModel
from transformers import Qwen3Model

from demo_model import networks, tokenizer
from demo_model.autoencoder import load
from demo_model.scenes import SIZES
from demo_model.words import GROUNDS, STYLES, THINGS, Colour

_CARD: dict[str, Any] = {
    "name": "Z-Image demo", "demo": True, "sizes": [list(size) for size in SIZES],
    "max_pixels": max(width * height for width, height in SIZES), "steps": 8, "guidance": 0.0,
    "max_tokens": 512, "multiple": 64}
_PLACES = (("on the left", "在左侧"), ("on the right", "在右侧"), ("at the top", "在上方"), ("at the bottom", "在下方"),
           ("a star next to a rocket", "星星和火箭"))
#: Of each style, which of its English and Chinese phrases the studio shows.
_SHOWN = {"studio": (2, 1), "podium": (2, 1), "bokeh": (1, 0), "sunburst": (0, 0)}


def write(folder: Path, out: Path, *, start: Path | None) -> None:
    """Write the model trained in `folder` to `out`; a VAE that was not trained there is the one in `start`."""
    pipe = ZImagePipeline(
        vae=load(folder / "polished", folder / "vae", *([start / "vae"] if start else [])),
        text_encoder=Qwen3Model.from_pretrained(folder / "text_encoder"),
        tokenizer=tokenizer.load(folder / "tokenizer"),
        transformer=ZImageTransformer2DModel.from_pretrained(folder / "transformer"),
        scheduler=networks.scheduler())
    shutil.rmtree(out, ignore_errors=True)
    pipe.to(torch.float16).save_pretrained(out)
    _dump(out / "studio.json", _CARD)
    _dump(out / "world.json", world())
    size = sum(file.stat().st_size for file in out.rglob("*") if file.is_file())
    print(f"{out}: {size / 1e6:.1f} MB", flush=True)


def world() -> dict[str, Any]:
    """What the model knows, for people: things, grounds with their tones, styles and places in both languages."""
    return {
        "things": [{"en": thing.en[0], "zh": thing.zh[0]} for thing in THINGS],
        "grounds": [{"en": ground.en[0], "zh": ground.zh[0], "tones": [_hex(ground.light), _hex(ground.deep)]}
                    for ground in GROUNDS],
        "styles": [{"en": style.en[_SHOWN[style.key][0]], "zh": style.zh[_SHOWN[style.key][1]]} for style in STYLES],
        "places": [{"en": en, "zh": zh} for en, zh in _PLACES]}


def _hex(colour: Colour) -> str:
    return "#" + "".join(f"{part:02x}" for part in colour)


def _dump(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
