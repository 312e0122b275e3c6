"""What the studio expects of a configuration is, name for name and shape for shape, what torch builds from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, ZImageTransformer2DModel
from transformers import Qwen3Config, Qwen3Model

from studio import checkpoint
from studio.checkpoint import shapes
from studio.checkpoint.keys import KINDS

DEMO = Path(__file__).parents[2] / "models" / "z-image-demo"
LISTS = {"transformer": shapes.transformer, "text_encoder": shapes.text_encoder, "vae": shapes.vae}


def built(part: str, fields: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """The state of the real class, without memory for its weights."""
    fields = {name: value for name, value in fields.items() if not name.startswith("_")}
    with torch.device("meta"):
        module = {"transformer": lambda: ZImageTransformer2DModel(**fields), "vae": lambda: AutoencoderKL(**fields),
                  "text_encoder": lambda: Qwen3Model(Qwen3Config(**fields))}[part]()
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def listed(part: str, path: Path) -> dict[str, tuple[int, ...]]:
    return LISTS[part](shapes.Config(path, KINDS[part]))


@pytest.mark.parametrize("part", LISTS)
@pytest.mark.parametrize("model", ["turbo", "base", "demo", "tiny"])
def test_names_and_shapes_are_torchs(model: str, part: str, tiny_folder: Path) -> None:
    folder = {"demo": DEMO, "tiny": tiny_folder}.get(model) or checkpoint.CONFIGS[model]
    path = folder / part / "config.json"
    assert listed(part, path) == built(part, json.loads(path.read_text()))


@pytest.mark.parametrize(("part", "changes"), [
    ("transformer", {"qk_norm": False}), ("transformer", {"all_patch_size": [2, 4], "all_f_patch_size": [1, 1]}),
    ("transformer", {"dim": 3000, "axes_dims": [32, 34, 34]}), ("text_encoder", {"attention_bias": True}),
    ("vae", {"use_quant_conv": True, "use_post_quant_conv": True, "mid_block_add_attention": False}),
])
def test_so_they_are_with_other_settings(tmp_path: Path, part: str, changes: dict[str, Any]) -> None:
    fields = json.loads((checkpoint.CONFIGS["turbo"] / part / "config.json").read_text()) | changes
    path = tmp_path / "config.json"
    path.write_text(json.dumps(fields))
    assert listed(part, path) == built(part, fields)


def test_the_real_transformer_has_its_published_size() -> None:
    found = listed("transformer", checkpoint.CONFIGS["turbo"] / "transformer" / "config.json")
    assert len(found) == 521
    assert sum(torch.Size(shape).numel() for shape in found.values()) == 6_154_908_736
