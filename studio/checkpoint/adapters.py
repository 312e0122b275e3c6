"""What adds to a model: LoRAs and ControlNets, recognised by their tensors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from studio.checkpoint.header import Tensor, plain_header
from studio.checkpoint.keys import OTHER_MODEL, require_plain
from studio.checkpoint.problems import GET_FILE, shown, unreadable
from studio.checkpoint.shapes import Shapes, block
from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _

#: Halves of a LoRA as trainers name them: (down, up).
_HALVES = (
    (".lora_A.weight", ".lora_B.weight"), (".lora_A.default.weight", ".lora_B.default.weight"),
    (".lora_down.weight", ".lora_up.weight"), (".lora.down.weight", ".lora.up.weight"),
)
#: Prefix -> name of the style; the first that fits.
_STYLES = (("transformer.", "diffusers"), ("diffusion_model.", "comfyui"), ("lora_unet_", "kohya"),
           ("base_model.model.", "peft"))
#: A part of Z-Image's transformer: with dots, or with underscores as kohya's trainer writes them.
_TARGET = re.compile(
    r"(layers|noise_refiner|context_refiner)[._]\d+[._](attention|feed_forward|adaLN_modulation)"
    r"|(all_)?(x_embedder|final_layer)|(cap|t)_embedder")
_BLOCK = re.compile(r"control_(layers|noise_refiner)\.(\d+)\.(.+)")


@dataclass(frozen=True, slots=True)
class LoraInfo:
    """`rank` is the largest; `targets` counts the layers it adapts; `style` is how its tensors are named."""

    style: str
    rank: int
    targets: int


@dataclass(frozen=True, slots=True)
class ControlInfo:
    """`version` of the Union ControlNet ("1.0", "2.0" or "2.1"); `width` of the transformer it fits."""

    version: str
    width: int
    layers: int
    in_channels: int


def inspect_lora(path: Path, *, deep: bool = False) -> LoraInfo:
    """What kind of LoRA it is. Raises ModelUnusable when it is none, or none for Z-Image."""
    tensors = plain_header(path)
    ranks: list[int] = []
    for down, up in _HALVES:
        for name, tensor in tensors.items():
            if name.endswith(down):
                ranks.append(_rank(path, tensors, name, f"{name.removesuffix(down)}{up}", tensor))
            elif name.endswith(up) and f"{name.removesuffix(up)}{down}" not in tensors:
                raise _lacks(path, f"{name.removesuffix(up)}{down}")
    if not ranks:
        raise ModelUnusable(
            _("%(path)s is not a LoRA: it has no pair of lora_A and lora_B, or lora_down and lora_up."),
            hint=OTHER_MODEL, path=path)
    halves = [name for name in tensors if name.endswith(tuple(half for pair in _HALVES for half in pair))]
    for name in halves:
        if not _TARGET.search(name):
            raise ModelUnusable(
                _("%(path)s: the tensor %(name)s adapts a layer that Z-Image does not have."),
                hint=OTHER_MODEL, path=path, name=shown(name))
    _finite(path, tensors, deep)
    style = next((style for prefix, style in _STYLES if any(name.startswith(prefix) for name in halves)), "bare")
    return LoraInfo(style, max(ranks), len(ranks))


def inspect_controlnet(path: Path, *, deep: bool = False) -> ControlInfo:
    """Which Union ControlNet it is. Raises ModelUnusable when it is none for Z-Image."""
    tensors = plain_header(path)
    embedder = tensors.get("control_all_x_embedder.2-1.weight")
    if embedder is None or len(embedder.shape) != 2 or embedder.shape[1] % 4:
        raise ModelUnusable(
            _("%(path)s is not a Z-Image ControlNet: it has no usable tensor %(name)s."),
            hint=OTHER_MODEL, path=path, name="control_all_x_embedder.2-1.weight")
    width, channels = embedder.shape[0], embedder.shape[1] // 4
    blocks = {(found[1], int(found[2])) for name in tensors if (found := _BLOCK.fullmatch(name))}
    layers, refiners = (sum(1 for part, _index in blocks if part == kind) for kind in ("layers", "noise_refiner"))
    version = _version(path, tensors, channels)
    head = tensors.get("control_layers.0.attention.norm_q.weight")
    wanted = _control_shapes(
        width, channels, layers, refiners if version != "2.0" else 0, version,
        head.shape[0] if head and len(head.shape) == 1 else 0)
    for name, shape in wanted.items():
        if name not in tensors:
            raise _lacks(path, name)
        if tensors[name].shape != shape:
            raise ModelUnusable(
                _("%(path)s: the tensor %(name)s does not have the shape that a ControlNet %(version)s needs."),
                hint=OTHER_MODEL, path=path, name=name, version=version)
        require_plain(path, name, tensors[name])
    for name in tensors:
        if name not in wanted and not (version == "2.0" and name.startswith("control_noise_refiner.")):
            raise ModelUnusable(
                _("%(path)s holds the tensor %(name)s, which a %(kind)s of this configuration does not have."),
                hint=OTHER_MODEL, path=path, name=shown(name), kind="ZImageControlNetModel")
    _finite(path, tensors, deep)
    return ControlInfo(version, width, layers, channels)


def _version(path: Path, tensors: dict[str, Tensor], channels: int) -> str:
    """By the channels of the control latent, and by whether the refiner hands its results on."""
    if channels == 16:
        return "1.0"
    if channels == 33:
        # Files of 2.0 may carry an unused refiner: its projection is all zeros, as it was before any training.
        before = tensors.get("control_noise_refiner.0.before_proj.weight")
        return "2.1" if before and _not_zero(path, before) else "2.0"
    raise ModelUnusable(
        _("%(path)s is a ControlNet of %(found)d channels; those for Z-Image have 16 or 33."),
        hint=OTHER_MODEL, path=path, found=channels)


def _control_shapes(width: int, channels: int, layers: int, refiners: int, version: str, head: int) -> Shapes:
    """The tensors of a ZImageControlNetModel."""
    found: Shapes = {"control_all_x_embedder.2-1.weight": (width, 4 * channels),
                     "control_all_x_embedder.2-1.bias": (width,)}
    for kind, count, hands_on in (("layers", max(1, layers), True), ("noise_refiner", refiners, version != "1.0")):
        for index in range(count):
            name = f"control_{kind}.{index}"
            found |= block(name, width, head, modulated=True)
            for part in ("before_proj", "after_proj") if hands_on and index == 0 else ("after_proj",) * hands_on:
                found |= {f"{name}.{part}.weight": (width, width), f"{name}.{part}.bias": (width,)}
    return found


def _not_zero(path: Path, tensor: Tensor) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(tensor.begin)
            left = tensor.end - tensor.begin
            while left > 0 and (chunk := file.read(min(left, 2**20))):
                if chunk.strip(b"\0"):
                    return True
                left -= len(chunk)
    except OSError as error:
        raise unreadable(path, error) from error
    return False


def _rank(path: Path, tensors: dict[str, Tensor], name: str, other: str, down: Tensor) -> int:
    """The rank of a pair. Raises ModelUnusable when the halves do not fit each other."""
    if other not in tensors:
        raise _lacks(path, other)
    up = tensors[other]
    for each, tensor in ((name, down), (other, up)):
        require_plain(path, each, tensor)
    if len(down.shape) not in (2, 4) or len(up.shape) != len(down.shape) or not 0 < down.shape[0] == up.shape[1]:
        raise ModelUnusable(
            _("%(path)s: the tensors %(name)s and %(other)s do not fit each other."),
            hint=GET_FILE, path=path, name=shown(name), other=shown(other))
    return down.shape[0]


def _lacks(path: Path, name: str) -> ModelUnusable:
    return ModelUnusable(_("%(path)s lacks the tensor %(name)s."), hint=GET_FILE, path=path, name=shown(name))


def _finite(path: Path, tensors: dict[str, Tensor], deep: bool) -> None:
    if deep:
        from studio.checkpoint.finite import require_finite  # numpy is loaded only for this

        require_finite(path, tensors)
