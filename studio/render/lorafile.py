"""Read LoRA files of every trainer: pairs of low-rank matrices with their scale, by layer."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _
from studio.render import keys, tensors
from studio.render.tensors import Stored

_PREFIXES = (
    "base_model.model.", "model.diffusion_model.", "diffusion_model.", "transformer.", "unet.",
    "lora_unet_", "lora_transformer_", "lycoris_",
)
#: PEFT writes its adapter's name, such as `default`, before `weight`.
_PAIR = re.compile(r"(.+?)\.(lora_A|lora_B|lora_down|lora_up|lora\.down|lora\.up)(?:\.[^.]+)?\.weight")
_ALPHA = ".alpha"
_OTHER_HALF = {
    "lora_A": "lora_B", "lora_B": "lora_A", "lora_down": "lora_up", "lora_up": "lora_down",
    "lora.down": "lora.up", "lora.up": "lora.down",
}
_DOWN = {"lora_A", "lora_down", "lora.down"}
_TEXT_ENCODER = re.compile(r"(base_model\.model\.)?(lora_te\d?_|text_encoders?[._]|te\d?[._]|text_model\.|clip_)")
#: Adapters that are no plain low-rank product.
_KINDS = {
    "dora_scale": "DoRA", "lora_magnitude_vector": "DoRA", "hada_": "LoHa", "lokr_": "LoKr", "oft_": "OFT",
    "boft_": "BOFT", "lora_mid": "LoCon",
}


@dataclass(frozen=True, slots=True)
class Pair:
    """What a file adds to the layer `layer`, without the trainer's prefix: `scale * up @ down`.

    `down` [rank, in] and `up` [out, rank] are in the file's dtype on the CPU; `scale` is alpha / rank.
    `source` and `source_up` are where they come from.
    """

    layer: str
    down: Tensor
    up: Tensor
    scale: float
    source: Stored
    source_up: Stored


def read(path: Path) -> list[Pair]:
    """The pairs in the file at `path`, at least one.

    Raises ModelUnusable, naming file and tensor, for a file that is damaged, no plain LoRA, changes
    the text encoder, or holds half a pair, unfitting shapes or values that are not finite.
    """
    stored = tensors.listed(path)
    for one in stored:
        _refuse(one)
    halves: dict[str, dict[str, Stored]] = {}
    alphas: dict[str, Stored] = {}
    for one in stored:
        if found := _PAIR.fullmatch(one.key):
            sides = halves.setdefault(found[1], {})
            side = "down" if found[2] in _DOWN else "up"
            if side in sides:
                raise tensors.unexpected(one)
            sides[side] = one
        elif one.key.endswith(_ALPHA) and math.prod(one.shape) == 1:
            alphas[one.key.removesuffix(_ALPHA)] = one
        else:
            raise tensors.unexpected(one)
    for base, one in alphas.items():
        if base not in halves:
            raise tensors.unexpected(one)
    if not halves:
        raise ModelUnusable(_("%(path)s holds no LoRA."), path=path)
    said = _Settings(path)
    with tensors.Reader(torch.device("cpu")) as reader:
        return [_pair(base, sides, alphas.get(base), said, reader) for base, sides in halves.items()]


def _pair(
    base: str, sides: dict[str, Stored], alpha: Stored | None, said: _Settings, reader: tensors.Reader,
) -> Pair:
    if len(sides) == 1:
        one = next(iter(sides.values()))
        half = re.sub(r"lora[._](A|B|down|up)(?=(\.[^.]+)?\.weight$)", lambda m: _OTHER_HALF[m[0]], one.key)
        raise tensors.missing(one.path, half)
    down, up = _flat(reader, sides["down"]), _flat(reader, sides["up"])
    rank = len(down)
    if up.shape[1] != rank or not rank:
        raise tensors.wrong_shape(sides["up"], (len(up), rank))
    layer = keys.without(base, _PREFIXES)
    scale = said.scale(layer, rank) if alpha is None else float(reader.read(alpha).item()) / rank
    return Pair(layer, down, up, scale, sides["down"], sides["up"])


def _flat(reader: tensors.Reader, stored: Stored) -> Tensor:
    """A matrix, also from a 1x1 convolution."""
    if len(stored.shape) < 2 or any(side != 1 for side in stored.shape[2:]):
        raise tensors.unexpected(stored)
    return reader.read(stored).flatten(1)


def _refuse(one: Stored) -> None:
    for mark, kind in _KINDS.items():
        if mark in one.key:
            raise _no_plain_lora(one.path, kind, one.key)
    if _TEXT_ENCODER.match(one.key):
        raise ModelUnusable(
            _("%(path)s also changes the text encoder (%(name)s); only LoRAs for the transformer can be used."),
            path=one.path, name=one.key)


def _no_plain_lora(path: Path, kind: str, name: str) -> ModelUnusable:
    return ModelUnusable(
        _("%(path)s is a %(kind)s (%(name)s); only plain LoRAs can be used."), path=path, kind=kind, name=name)


class _Settings:
    """What diffusers (in the header) or PEFT (beside `adapter_model.safetensors`) say of the scale."""

    def __init__(self, path: Path) -> None:
        beside = path.with_name("adapter_config.json")
        text = tensors.metadata(path).get("lora_adapter_metadata", "")
        try:
            if not text and path.stem == "adapter_model" and beside.is_file():
                text = beside.read_text(encoding="utf-8")
            found = json.loads(text) if text else {}
            settings = {name.removeprefix("transformer."): value for name, value in found.items()}
            self._alpha = float(settings.get("lora_alpha") or 0)
            self._alphas = {str(key): float(value) for key, value in (settings.get("alpha_pattern") or {}).items()}
            if not all(map(math.isfinite, (self._alpha, *self._alphas.values()))):
                raise ValueError("alpha is not a finite number")
            dora, self._root = bool(settings.get("use_dora")), bool(settings.get("use_rslora"))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ModelUnusable(_("%(path)s can't be read: %(reason)s."), path=path, reason=error) from error
        if dora:
            raise _no_plain_lora(path, "DoRA", "use_dora")

    def scale(self, layer: str, rank: int) -> float:
        """alpha / rank of a layer, or alpha / sqrt(rank) where the training did so; 1 when nothing is said."""
        alpha = next((value for key, value in self._alphas.items() if self._matches(key, layer)), self._alpha)
        if not alpha:
            return 1.0
        return alpha / (math.sqrt(rank) if self._root else rank)

    @staticmethod
    def _matches(pattern: str, layer: str) -> Any:
        try:
            return re.match(rf"(.*\.)?({pattern})$", layer)
        except re.error:
            return pattern == layer
