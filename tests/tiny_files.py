"""Writers of tiny weight files in every style that the studio reads: models, LoRAs, ControlNets."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    ZImageControlNetModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import Qwen3Config, Qwen3Model

from studio.domain.engine import ModelFiles
from studio.domain.modelcard import ModelCard
from tests import tiny

Tensors = dict[str, Tensor]

LAYERS, REFINERS, WIDTH, CHANNELS = 4, 2, 32, 4


def save(tensors: Tensors, path: Path, metadata: dict[str, str] | None = None) -> Path:
    """Write a safetensors file; return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Copies: the format refuses tensors that share memory.
    save_file({key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}, path,
              {"format": "pt"} | (metadata or {}))
    return path


def randomize(module: nn.Module, seed: int) -> None:
    """Give every parameter its own numbers: also those that start as 0 or 1, which would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            inputs = parameter[0].numel() if parameter.ndim > 1 else 16
            spread = torch.randn(parameter.shape, generator=generator) / inputs**0.5
            parameter.copy_(1 + spread if "norm" in name and parameter.ndim == 1 else spread)


def transformer(seed: int = 0) -> ZImageTransformer2DModel:
    """Random, with several layers and refiners and one latent channel count that is not 16."""
    made = ZImageTransformer2DModel(
        dim=WIDTH, n_layers=LAYERS, n_refiner_layers=REFINERS, n_heads=2, n_kv_heads=2, cap_feat_dim=24,
        in_channels=CHANNELS, axes_dims=[4, 6, 6], axes_lens=[256, 64, 64],
    )
    randomize(made, seed)
    return made.eval()


def vae(seed: int = 0) -> AutoencoderKL:
    """Random, with attention in the middle and levels of different widths."""
    made = AutoencoderKL(
        block_out_channels=[4, 8, 8], layers_per_block=1, norm_num_groups=2, latent_channels=CHANNELS,
        down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3,
        mid_block_add_attention=True, scaling_factor=0.36, shift_factor=0.12,
        use_quant_conv=False, use_post_quant_conv=False,
    )
    randomize(made, seed)
    return made.eval()


def text_encoder(seed: int = 0) -> Qwen3Model:
    """Random, as wide as the transformer's captions."""
    made = Qwen3Model(Qwen3Config(
        vocab_size=300, hidden_size=24, intermediate_size=40, num_hidden_layers=2, head_dim=8, num_attention_heads=3,
        num_key_value_heads=1, max_position_embeddings=512, tie_word_embeddings=True,
    ))
    randomize(made, seed)
    return made.eval()


def model_folder(folder: Path, **save_options: Any) -> Path:
    """Save a whole random model in diffusers layout; return `folder`."""
    ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0), tokenizer=tiny.tokenizer(), vae=vae(),
        text_encoder=text_encoder(), transformer=transformer(),
    ).save_pretrained(folder, safe_serialization=True, **save_options)
    return folder


def single_files(folder: Path, to: Path) -> ModelFiles:
    """The model of `model_folder` as three files in the original's keys beside a folder of configurations."""
    for name in ("transformer/config.json", "text_encoder/config.json", "vae/config.json",
                 "scheduler/scheduler_config.json"):
        (to / "config" / name).parent.mkdir(parents=True)
        shutil.copy(folder / name, to / "config" / name)
    words = {f"model.{key}": tensor for key, tensor in text_encoder().state_dict().items()}
    return ModelFiles(
        ModelCard("Tiny"), config=to / "config", tokenizer=folder / "tokenizer",
        transformer=save(original_transformer(transformer().state_dict()), to / "z.safetensors"),
        text_encoder=save(words, to / "qwen.safetensors"),
        vae=save(original_vae(vae().state_dict()), to / "ae.safetensors"),
    )


# --- models: from diffusers' keys ----------------------------------------------------------

def original_transformer(state: Tensors, prefix: str = "") -> Tensors:
    """As the checkpoint was first published and as ComfyUI keeps it: fused qkv, other names."""
    found: Tensors = {}
    for key, tensor in state.items():
        key = re.sub(r"^all_(x_embedder|final_layer)\.2-1\.", r"\1.", key)
        key = key.replace("attention.to_out.0", "attention.out")
        key = key.replace("attention.norm_q", "attention.q_norm").replace("attention.norm_k", "attention.k_norm")
        if key.endswith(("to_k.weight", "to_v.weight")):
            continue
        if key.endswith("to_q.weight"):
            tensor = torch.cat([state[key.replace("to_q", f"to_{x}")] for x in "qkv"])
            key = key.replace("to_q", "qkv")
        found[prefix + key] = tensor
    return found | {f"{prefix}norm_final.weight": torch.ones(WIDTH)}


def original_vae(state: Tensors, *, levels: int = 3, convolutions: bool = True) -> Tensors:
    """As Flux's `ae.safetensors`: levels of the decoder counted backwards, attention as 1x1 convolutions."""
    attention = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
    found: Tensors = {}
    for key, tensor in state.items():
        key = re.sub(r"down_blocks\.(\d)\.resnets", r"down.\1.block", key)
        key = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", key)
        key = re.sub(r"up_blocks\.(\d)\.resnets", lambda m: f"up.{levels - 1 - int(m[1])}.block", key)
        key = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{levels - 1 - int(m[1])}.upsample", key)
        key = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", key)
        key = key.replace("conv_shortcut", "nin_shortcut").replace("conv_norm_out", "norm_out")
        if "mid_block.attentions.0." in key:
            for ours, theirs in attention.items():
                key = key.replace(f"mid_block.attentions.0.{ours}.", f"mid.attn_1.{theirs}.")
            if convolutions and tensor.ndim == 2:
                tensor = tensor[:, :, None, None]
        found[key] = tensor
    return found


# --- LoRAs: by layers of the diffusers model ------------------------------------------------

ATTENTION = tuple(f"attention.{name}" for name in ("to_q", "to_k", "to_v", "to_out.0"))
FEED_FORWARD = tuple(f"feed_forward.w{n}" for n in (1, 2, 3))


def lora(model: nn.Module, layers: tuple[str, ...], *, rank: int = 4, seed: int = 1, shared: bool = False) -> Tensors:
    """Random `LAYER.lora_A.weight` and `LAYER.lora_B.weight`; `shared`: one A for q, k and v of a block."""
    generator = torch.Generator().manual_seed(seed)
    found: Tensors = {}
    for layer in layers:
        linear: Any = model.get_submodule(layer)
        found[f"{layer}.lora_A.weight"] = torch.randn(rank, linear.in_features, generator=generator) * 0.3
        found[f"{layer}.lora_B.weight"] = torch.randn(linear.out_features, rank, generator=generator) * 0.3
        if shared and layer.endswith(("to_k", "to_v")):
            found[f"{layer}.lora_A.weight"] = found[f"{layer[:-1]}q.lora_A.weight"]
    return found


def block_layers(*blocks: str) -> tuple[str, ...]:
    """The layers of attention and feed-forward in these blocks, such as `layers.0`."""
    return tuple(f"{block}.{layer}" for block in blocks for layer in (*ATTENTION, *FEED_FORWARD))


def _named(prefix: str, down: str = "lora_A", up: str = "lora_B") -> Callable[[Tensors], Tensors]:
    return lambda tensors: {prefix + key.replace("lora_A", down).replace("lora_B", up): tensor
                            for key, tensor in tensors.items()}


def _kohya(tensors: Tensors) -> Tensors:
    found = {}
    for key, tensor in tensors.items():
        layer, half = re.fullmatch(r"(.+)\.(lora_[AB])\.weight", key).groups()  # type: ignore[union-attr]
        flat = "lora_unet_" + layer.replace(".", "_")
        found[f"{flat}.{'lora_down' if half == 'lora_A' else 'lora_up'}.weight"] = tensor
    return found


def fused_qkv(tensors: Tensors) -> Tensors:
    """The original module tree: one qkv, and `out`. Needs a `shared` A."""
    found = {}
    for key, tensor in tensors.items():
        if key.endswith(("to_k.lora_A.weight", "to_v.lora_A.weight", "to_k.lora_B.weight", "to_v.lora_B.weight")):
            continue
        if key.endswith("to_q.lora_B.weight"):
            tensor = torch.cat([tensors[key.replace("to_q", f"to_{x}")] for x in "qkv"])
        found[key.replace("to_q", "qkv").replace("to_out.0", "out")] = tensor
    return found


#: Style -> from diffusers' layer names. All hold the same numbers.
LORA_STYLES: dict[str, Callable[[Tensors], Tensors]] = {
    "diffusers": _named("transformer."),
    "original prefix": _named("diffusion_model."),
    "comfy prefix": _named("model.diffusion_model."),
    "down and up": _named("diffusion_model.", "lora_down", "lora_up"),
    "dots": _named("diffusion_model.", "lora.down", "lora.up"),
    "kohya": _kohya,
    "bare": _named(""),
    "peft": _named("base_model.model."),
    "peft of a pipeline": _named("base_model.model.transformer."),
    "adapter name": _named("", "lora_A.default", "lora_B.default"),
    "spread names": lambda tensors: {
        "diffusion_model." + re.sub(r"\.to_([qkv])\.", r".to.\1.", key): tensor for key, tensor in tensors.items()},
}
#: Those that diffusers' own loader reads too.
DIFFUSERS_STYLES = ("diffusers", "original prefix", "down and up", "kohya", "adapter name")


# --- ControlNets ----------------------------------------------------------------------------

def controlnet(version: str, model: Any, *, seed: int = 2) -> ZImageControlNetModel:
    """Random, of "1", "2.0" or "2.1", sharing what it shares with `model`."""
    made = ZImageControlNetModel(
        control_layers_places=list(range(0, LAYERS, 2)),
        control_refiner_layers_places=None if version == "1" else list(range(REFINERS)),
        control_in_dim=CHANNELS if version == "1" else 2 * CHANNELS + 1,
        add_control_noise_refiner={"1": None, "2.0": "control_layers", "2.1": "control_noise_refiner"}[version],
        dim=WIDTH, n_refiner_layers=REFINERS, n_heads=2, n_kv_heads=2,
    )
    randomize(made, seed)  # also the projections, which start at zero
    return ZImageControlNetModel.from_transformer(made.eval(), model)


def controlnet_tensors(network: ZImageControlNetModel) -> Tensors:
    """What a file of it holds: without the shared modules."""
    return {key: tensor for key, tensor in network.state_dict().items() if key.startswith("control_")}
