"""Names of tensors: from each style that Z-Image's files come in to that of the diffusers classes."""

from __future__ import annotations

import re

_TRANSFORMER_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.")
_VAE_PREFIXES = ("first_stage_model.", "vae.")
_ATTENTION = {
    ".attention.out.": ".attention.to_out.0.",
    ".attention.q_norm.": ".attention.norm_q.",
    ".attention.k_norm.": ".attention.norm_k.",
}
_VAE_ATTENTION = {
    "norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0",
    # Names of diffusers' own first versions.
    "query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0",
}
_VAE_LEVEL = re.compile(r"(encoder|decoder)\.(down|up)\.(\d+)\.(?:block\.(\d+)|(?:down|up)sample)\.(.+)")
_VAE_MIDDLE = re.compile(r"(encoder|decoder)\.(?:mid\.attn_1|mid_block\.attentions\.0)\.(\w+)\.(weight|bias)")


def transformer(key: str) -> str | None:
    """The transformer's (or ControlNet's) name for `key`. A fused qkv keeps its name."""
    key = without(key, _TRANSFORMER_PREFIXES)
    if key == "norm_final.weight":  # in the original files, used by nothing
        return None
    for old, new in (("x_embedder.", "all_x_embedder.2-1."), ("final_layer.", "all_final_layer.2-1.")):
        if key.startswith(old):
            key = new + key.removeprefix(old)
    for old, new in _ATTENTION.items():
        key = key.replace(old, new)
    return key


def text_encoder(key: str) -> str | None:
    """Qwen3Model's name for `key`. It has no head: the studio reads hidden states."""
    return None if key == "lm_head.weight" else key.removeprefix("model.")


def vae(key: str, levels: int) -> str:
    """AutoencoderKL's name for `key`; `levels` is its number of blocks, which the original counts backwards."""
    key = without(key, _VAE_PREFIXES)
    if found := _VAE_LEVEL.fullmatch(key):
        half, way, level, block, rest = found.groups()
        number = int(level) if way == "down" else levels - 1 - int(level)
        inner = f"{way}samplers.0" if block is None else f"resnets.{block}"
        return f"{half}.{way}_blocks.{number}.{inner}.{rest.replace('nin_shortcut', 'conv_shortcut')}"
    if found := _VAE_MIDDLE.fullmatch(key):
        half, layer, kind = found.groups()
        return f"{half}.mid_block.attentions.0.{_VAE_ATTENTION.get(layer, layer)}.{kind}"
    key = re.sub(r"\.mid\.block_(\d)\.", lambda m: f".mid_block.resnets.{int(m[1]) - 1}.", key)
    return re.sub(r"^(encoder|decoder)\.norm_out\.", r"\1.conv_norm_out.", key)


def without(key: str, prefixes: tuple[str, ...]) -> str:
    """`key` without any of the prefixes, also when several stand before each other."""
    while True:
        for prefix in prefixes:
            if key.startswith(prefix):
                key = key.removeprefix(prefix)
                break
        else:
            return key
