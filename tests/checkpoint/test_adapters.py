"""LoRAs and ControlNets are recognised by their tensors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from studio import checkpoint
from studio.checkpoint import ControlInfo, LoraInfo
from studio.domain.errors import ModelUnusable
from tests.checkpoint.files import Tensors, controlnet, lora, save

TWO = {"layers.0.attention.to_q": (32, 32), "layers.0.feed_forward.w1": (32, 85)}


def named(prefix: str) -> dict[str, tuple[int, int]]:
    return {prefix + name: widths for name, widths in TWO.items()}


KOHYA = {f"lora_unet_{name.replace('.', '_')}": widths for name, widths in TWO.items()}


@pytest.mark.parametrize(("style", "tensors"), [
    ("diffusers", lora(named("transformer."), "lora_A", "lora_B")),
    ("comfyui", lora(named("diffusion_model."), "lora_A", "lora_B")),
    ("comfyui", lora(named("diffusion_model."), "lora_down", "lora_up", alpha=True)),
    ("kohya", lora(KOHYA, "lora_down", "lora_up", alpha=True)),
    ("bare", lora(TWO, "lora_A", "lora_B")),
    ("peft", lora(named("base_model.model."), "lora_A", "lora_B")),
    ("diffusers", lora(named("transformer."), "lora_A.default", "lora_B.default")),
])
def test_each_style_of_lora_is_recognised(tmp_path: Path, style: str, tensors: Tensors) -> None:
    path = save(tmp_path / "x.safetensors", tensors)
    assert checkpoint.inspect_lora(path, deep=True) == LoraInfo(style, rank=4, targets=2)


GOOD = lora(TWO, "lora_A", "lora_B")
KEY = "layers.0.attention.to_q.lora_B.weight"


@pytest.mark.parametrize(("tensors", "message"), [
    ({"layers.0.attention.to_q.weight": torch.ones(2, 2)}, "is not a LoRA"),
    ({name: t for name, t in GOOD.items() if name != KEY}, rf"lacks the tensor {KEY}"),
    ({name: t for name, t in GOOD.items() if "to_q.lora_A" not in name}, r"lacks the tensor .*to_q\.lora_A"),
    (GOOD | {KEY: torch.ones(32, 5)}, "do not fit each other"),
    (GOOD | {KEY: torch.ones(32)}, "do not fit each other"),
    (GOOD | {KEY: torch.ones(32, 4).long()}, "is of the type I64"),
    (GOOD | {KEY: torch.full((32, 4), float("nan"))}, rf"{KEY} holds a value that is not a finite number"),
    (lora({"lora_unet_down_blocks_0_attentions_0_proj_in": (8, 8)}, "lora_down", "lora_up"), "does not have"),
    (lora({"text_encoder.layers.0.self_attn.q_proj": (8, 8)}, "lora_A", "lora_B"), "does not have"),
])
def test_what_is_no_lora_for_z_image_is_refused(tmp_path: Path, tensors: Tensors, message: str) -> None:
    path = save(tmp_path / "x.safetensors", tensors)
    with pytest.raises(ModelUnusable, match=rf"x\.safetensors.*{message}"):
        checkpoint.inspect_lora(path, deep=True)


@pytest.mark.parametrize(("version", "layers", "channels"), [("1.0", 2, 16), ("2.0", 3, 33), ("2.1", 3, 33)])
def test_each_version_of_the_controlnet_is_recognised(
    tmp_path: Path, version: str, layers: int, channels: int,
) -> None:
    path = save(tmp_path / "x.safetensors", controlnet(version))
    assert checkpoint.inspect_controlnet(path, deep=True) == ControlInfo(version, 32, layers, channels)


def test_a_refiner_of_zeros_is_spare(tmp_path: Path) -> None:
    """Files of 2.0 carry one; diffusers tells the versions apart by the same sign."""
    tensors = controlnet("2.1")
    tensors["control_noise_refiner.0.before_proj.weight"].zero_()
    assert checkpoint.inspect_controlnet(save(tmp_path / "x.safetensors", tensors)).version == "2.0"


@pytest.mark.parametrize(("version", "change", "message"), [
    ("1.0", "control_layers.1.after_proj.bias", "lacks the tensor control_layers.1.after_proj.bias"),
    ("2.1", "control_noise_refiner.1.after_proj.weight", "lacks the tensor control_noise_refiner.1.after_proj.weight"),
    ("2.0", "control_all_x_embedder.2-1.weight", "is not a Z-Image ControlNet"),
    ("2.0", "control_layers.0.before_proj.weight", "lacks the tensor control_layers.0.before_proj.weight"),
])
def test_a_controlnet_that_lacks_a_tensor_is_refused(
    tmp_path: Path, version: str, change: str, message: str,
) -> None:
    tensors = {name: t for name, t in controlnet(version).items() if name != change}
    with pytest.raises(ModelUnusable, match=message):
        checkpoint.inspect_controlnet(save(tmp_path / "x.safetensors", tensors))


@pytest.mark.parametrize(("name", "tensor", "message"), [
    ("control_all_x_embedder.2-1.weight", torch.ones(32, 4 * 17), "17 channels"),
    ("control_all_x_embedder.2-1.weight", torch.ones(32), "no usable tensor"),
    ("control_layers.0.after_proj.weight", torch.ones(32, 33), "does not have the shape"),
    ("layers.0.x", torch.ones(1), r"holds the tensor layers\.0\.x"),
    ("control_layers.0.after_proj.bias", torch.full((32,), float("inf")), "not a finite number"),
])
def test_another_controlnet_is_refused(tmp_path: Path, name: str, tensor: torch.Tensor, message: str) -> None:
    path = save(tmp_path / "x.safetensors", controlnet("2.1") | {name: tensor})
    with pytest.raises(ModelUnusable, match=message):
        checkpoint.inspect_controlnet(path, deep=True)
