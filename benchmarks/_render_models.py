"""What the render benchmark runs: the demo model, or the full-size architecture with random weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from torch import nn
from transformers import AutoTokenizer, Qwen3Config, Qwen3Model

from studio.render.fused import PATCH

DEMO = Path(__file__).parents[1] / "models" / "z-image-demo"

# Tongyi-MAI/Z-Image-Turbo's own configurations, as published with its weights.
TRANSFORMER: dict[str, Any] = {
    "dim": 3840, "n_layers": 30, "n_refiner_layers": 2, "n_heads": 30, "n_kv_heads": 30, "qk_norm": True,
    "norm_eps": 1e-5, "in_channels": 16, "cap_feat_dim": 2560, "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512], "rope_theta": 256.0, "t_scale": 1000.0,
}
TEXT_ENCODER: dict[str, Any] = {
    "vocab_size": 151936, "hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "rms_norm_eps": 1e-6,
    "max_position_embeddings": 40960, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
    "tie_word_embeddings": True,
}
VAE: dict[str, Any] = {
    "block_out_channels": [128, 256, 512, 512], "layers_per_block": 2, "norm_num_groups": 32, "latent_channels": 16,
    "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4, "sample_size": 1024,
    "scaling_factor": 0.3611, "shift_factor": 0.1159, "use_quant_conv": False, "use_post_quant_conv": False,
}


@dataclass(frozen=True, slots=True)
class Model:
    """A pipeline on its device, with what it is called in the table."""

    pipe: Any
    name: str


def load(device: torch.device) -> Model:
    """The full-size model with random weights in bf16 on a GPU; the demo model in fp32 on a CPU."""
    pipe = _random(device) if device.type == "cuda" else ZImagePipeline.from_pretrained(DEMO, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    return Model(pipe, "full size, random weights, bf16" if device.type == "cuda" else "demo model, fp32")


def _random(device: torch.device) -> Any:
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            transformer = ZImageTransformer2DModel(**TRANSFORMER)
            text_encoder = Qwen3Model(Qwen3Config(**TEXT_ENCODER))
            vae = AutoencoderKL(**VAE)
    finally:
        torch.set_default_dtype(torch.float32)
    generator = torch.Generator(device).manual_seed(0)
    for module in (transformer, text_encoder, vae):
        module.eval().requires_grad_(False)
        randomise(module, generator)
    # Its vocabulary is smaller: the ids are valid, and times depend on their number only.
    tokenizer = AutoTokenizer.from_pretrained(DEMO / "tokenizer", local_files_only=True)
    return ZImagePipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, use_dynamic_shifting=False, shift=3.0),
        vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, transformer=transformer)


@torch.no_grad()
def randomise(module: nn.Module, generator: torch.Generator) -> None:
    """Weights that keep activations at size 1 at any depth. Never zeros: they draw less power and clock higher."""
    for name, parameter in module.named_parameters():
        if parameter.ndim >= 2 and "pad_token" not in name:
            width = parameter.shape[-1] if "embed_tokens" in name else parameter[0].numel()
            parameter.normal_(0.0, 1.0 / math.sqrt(width), generator=generator)
        else:
            parameter.normal_(0.0, 0.1, generator=generator)
            if name.endswith("weight"):
                parameter.add_(1.0)


def step_flops(pipe: Any, width: int, height: int, caption: int) -> tuple[float, float]:
    """(linear, attention) floating-point operations of one step of one picture; `caption` counts padded tokens."""
    config, cell = pipe.transformer.config, pipe.vae_scale_factor * PATCH
    image = -(-(width // cell) * (height // cell) // 32) * 32
    every = image + caption
    dim, hidden = config.dim, int(config.dim / 3 * 8)
    weights = 4 * dim * dim + 3 * dim * hidden
    linear = 2.0 * weights * (config.n_layers * every + config.n_refiner_layers * image)
    attention = 4.0 * dim * (config.n_layers * every**2 + config.n_refiner_layers * image**2)
    return linear, attention
