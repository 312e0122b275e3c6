"""Which tensors a component has, and of which shape, by its configuration. Neither torch nor weights are needed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from studio.checkpoint.problems import read_object, wrong_value

Shape = tuple[int, ...]
Shapes = dict[str, Shape]
#: What the timestep is embedded into, and what the modulations read.
_ADALN, _TIME, _FREQUENCIES = 256, 1024, 256


class Config:
    """A component's configuration: fields are checked as they are read. Raises ModelUnusable naming file and field."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self._found = read_object(path)
        names = self._found.get("architectures") if kind == "Qwen3Model" else [self._found.get("_class_name")]
        known = {kind, "Qwen3ForCausalLM"} if kind == "Qwen3Model" else {kind}
        if not isinstance(names, list) or not known & {name for name in names if isinstance(name, str)}:
            raise wrong_value(path, "architectures" if kind == "Qwen3Model" else "_class_name")

    def whole(self, name: str, default: int | None = None, *, high: int = 2**20) -> int:
        """A whole number from 1 to `high`."""
        value = self._found.get(name, default)
        if type(value) is not int or not 1 <= value <= high:
            raise wrong_value(self.path, name)
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._found.get(name, default)
        if not isinstance(value, bool):
            raise wrong_value(self.path, name)
        return value

    def wholes(self, name: str, default: tuple[int, ...] | None = None, *, high: int = 2**20) -> list[int]:
        """A short list of whole numbers from 1 to `high`."""
        value: Any = self._found.get(name, default)
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= 8 or not all(
                type(one) is int and 1 <= one <= high for one in value):
            raise wrong_value(self.path, name)
        return list(value)

    def only(self, name: str, *allowed: object) -> None:
        """The field is absent or one of `allowed`."""
        if name in self._found and self._found[name] not in allowed:
            raise wrong_value(self.path, name)


def transformer(config: Config) -> Shapes:
    """Of a ZImageTransformer2DModel."""
    config.only("siglip_feat_dim", None)  # the Omni variant is another pipeline
    dim, heads = config.whole("dim"), config.whole("n_heads")
    channels, caption = config.whole("in_channels"), config.whole("cap_feat_dim")
    patches, frames = config.wholes("all_patch_size", (2,)), config.wholes("all_f_patch_size", (1,))
    if len(patches) != len(frames):
        raise wrong_value(config.path, "all_f_patch_size")
    if dim % heads or sum(config.wholes("axes_dims")) != dim // heads:
        raise wrong_value(config.path, "axes_dims")
    normed = config.flag("qk_norm", True)
    small = min(dim, _ADALN)
    found: Shapes = {
        "x_pad_token": (1, dim), "cap_pad_token": (1, dim), "cap_embedder.0.weight": (caption,),
        **_linear("cap_embedder.1", caption, dim),
        **_linear("t_embedder.mlp.0", _FREQUENCIES, _TIME), **_linear("t_embedder.mlp.2", _TIME, small)}
    for patch, frame in zip(patches, frames, strict=True):
        size = f"{patch}-{frame}"
        found |= _linear(f"all_x_embedder.{size}", frame * patch * patch * channels, dim)
        found |= _linear(f"all_final_layer.{size}.linear", dim, patch * patch * frame * channels)
        found |= _linear(f"all_final_layer.{size}.adaLN_modulation.1", small, dim)
    refiners = config.whole("n_refiner_layers", 2, high=1000)
    for name, count, modulated in (("noise_refiner", refiners, True), ("context_refiner", refiners, False),
                                   ("layers", config.whole("n_layers", high=1000), True)):
        for index in range(count):
            found |= block(f"{name}.{index}", dim, dim // heads if normed else 0, modulated=modulated)
    return found


def block(name: str, dim: int, head: int, *, modulated: bool) -> Shapes:
    """Of one block of the transformer; `head` is the width of a normed head, 0 when heads are not normed."""
    hidden = int(dim / 3 * 8)
    attention, forward = f"{name}.attention", f"{name}.feed_forward"
    found: Shapes = {f"{attention}.{part}.weight": (dim, dim) for part in ("to_q", "to_k", "to_v", "to_out.0")}
    found |= {f"{forward}.w1.weight": (hidden, dim), f"{forward}.w2.weight": (dim, hidden),
              f"{forward}.w3.weight": (hidden, dim)}
    found |= {f"{name}.{norm}.weight": (dim,) for norm in (
        "attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2")}
    if head:
        found |= {f"{attention}.norm_q.weight": (head,), f"{attention}.norm_k.weight": (head,)}
    if modulated:
        found |= _linear(f"{name}.adaLN_modulation.0", min(dim, _ADALN), 4 * dim)
    return found


def text_encoder(config: Config) -> Shapes:
    """Of a Qwen3Model."""
    hidden, inner = config.whole("hidden_size"), config.whole("intermediate_size")
    heads, groups = config.whole("num_attention_heads"), config.whole("num_key_value_heads")
    head = config.whole("head_dim", 128)
    biased = config.flag("attention_bias", False)
    found: Shapes = {"embed_tokens.weight": (config.whole("vocab_size"), hidden), "norm.weight": (hidden,)}
    for index in range(config.whole("num_hidden_layers", high=1000)):
        name = f"layers.{index}"
        for part, wide, high in (("q", hidden, heads * head), ("k", hidden, groups * head),
                                 ("v", hidden, groups * head), ("o", heads * head, hidden)):
            found |= _linear(f"{name}.self_attn.{part}_proj", wide, high, bias=biased)
        found |= {
            f"{name}.self_attn.q_norm.weight": (head,), f"{name}.self_attn.k_norm.weight": (head,),
            f"{name}.mlp.gate_proj.weight": (inner, hidden), f"{name}.mlp.up_proj.weight": (inner, hidden),
            f"{name}.mlp.down_proj.weight": (hidden, inner),
            f"{name}.input_layernorm.weight": (hidden,), f"{name}.post_attention_layernorm.weight": (hidden,)}
    return found


def vae(config: Config) -> Shapes:
    """Of an AutoencoderKL of plain blocks."""
    widths, layers = config.wholes("block_out_channels"), config.whole("layers_per_block", 1, high=100)
    latent = config.whole("latent_channels", 4)
    count = len(widths)
    config.only("down_block_types", ["DownEncoderBlock2D"] * count)
    config.only("up_block_types", ["UpDecoderBlock2D"] * count)
    attended = config.flag("mid_block_add_attention", True)
    found: Shapes = {}
    for side, first, last in (("encoder", config.whole("in_channels", 3), 2 * latent),
                              ("decoder", latent, config.whole("out_channels", 3))):
        encodes = side == "encoder"
        order = widths if encodes else widths[::-1]
        found |= _conv(f"{side}.conv_in", first, order[0]) | _conv(f"{side}.conv_out", order[-1], last)
        found |= _pair(f"{side}.conv_norm_out", order[-1])
        for name, shapes in _middle(widths[-1], attended):
            found |= {f"{side}.mid_block.{name}.{key}": shape for key, shape in shapes.items()}
        before = order[0]
        for index, width in enumerate(order):
            name = f"{side}.{'down' if encodes else 'up'}_blocks.{index}"
            for layer in range(layers if encodes else layers + 1):
                found |= {f"{name}.resnets.{layer}.{key}": shape for key, shape in _resnet(
                    before if layer == 0 else width, width).items()}
            if index < count - 1:
                found |= _conv(f"{name}.{'downsamplers' if encodes else 'upsamplers'}.0.conv", width, width)
            before = width
    if config.flag("use_quant_conv", True):
        found |= _conv("quant_conv", 2 * latent, 2 * latent, side=1)
    if config.flag("use_post_quant_conv", True):
        found |= _conv("post_quant_conv", latent, latent, side=1)
    return found


def _middle(width: int, attended: bool) -> Iterator[tuple[str, Shapes]]:
    for index in range(2):
        yield f"resnets.{index}", _resnet(width, width)
    if attended:
        yield "attentions.0", _pair("group_norm", width) | {
            key: shape for part in ("to_q", "to_k", "to_v", "to_out.0")
            for key, shape in _linear(part, width, width).items()}


def _resnet(wide: int, high: int) -> Shapes:
    found = _pair("norm1", wide) | _conv("conv1", wide, high) | _pair("norm2", high) | _conv("conv2", high, high)
    return found if wide == high else found | _conv("conv_shortcut", wide, high, side=1)


def _linear(name: str, wide: int, high: int, *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (high, wide)} | ({f"{name}.bias": (high,)} if bias else {})


def _conv(name: str, wide: int, high: int, *, side: int = 3) -> Shapes:
    return {f"{name}.weight": (high, wide, side, side), f"{name}.bias": (high,)}


def _pair(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}
