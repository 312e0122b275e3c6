"""Which number format a card runs a model in, and turning a loaded model into it."""

from __future__ import annotations

import logging
import platform
import warnings
from dataclasses import dataclass
from typing import Any

import torch

from studio.domain.engine import GATED, PRECISIONS
from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _
from studio.render.blocks import Projection
from studio.render.fused import FusedTransformer
from studio.render.memory import gigabytes, main_memory

#: The oldest GPUs that can: (compute capability, the generation's name).
_NEEDS = {"bf16": ((8, 0), "Ampere"), "int8": ((8, 0), "Ampere"), "fp8": ((8, 9), "Ada")}
#: Bytes a weight of the quantised layers.
_BYTES = {"bf16": 2, "fp32": 4, "fp8": 1, "int8": 1, "int8wo": 1}
#: Room for activations and the CUDA context when the weights are placed: a picture of 1024 x 1024 px takes 2 GB.
WORKING = int(2.5e9)
#: The same when the picture is decoded in tiles: what its denoising takes, with some air.
TIGHT = int(1.2e9)


@dataclass(frozen=True, slots=True)
class Card:
    """What a model would run on. `capability` is None for a CPU; `total` and `free` are bytes."""

    name: str
    capability: tuple[int, int] | None
    total: int
    free: int

    @classmethod
    def of(cls, device: torch.device) -> Card:
        """The card behind `device`, as it is now."""
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            return cls(torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device), total, free)
        return cls(f"CPU {platform.machine()}", None, *main_memory())


@dataclass(frozen=True, slots=True)
class Weights:
    """Parameters of a model. `quantisable`: those of the transformer that fp8 and int8 change, nearly all."""

    transformer: int
    text_encoder: int
    vae: int
    quantisable: int = -1

    def resident(self, precision: str, width: int, *, offload: bool) -> int:
        """Bytes on the card, where what is not quantised takes `width` bytes a weight."""
        small = self.transformer if self.quantisable < 0 else self.quantisable
        rest = self.transformer - small + self.vae + (0 if offload else self.text_encoder)
        return small * _BYTES[precision] + rest * width


#: Z-Image-Turbo as published.
Z_IMAGE = Weights(6_154_908_736, 4_022_468_096, 83_819_683)


@dataclass(frozen=True, slots=True)
class Choice:
    """How a model is loaded. `dtype` is that of activations and of all weights that are not quantised."""

    precision: str
    dtype: torch.dtype
    offload_text_encoder: bool
    reason: str


def choose(wanted: str, default: str, card: Card, weights: Weights, *, reserve: int = 0) -> Choice:
    """The precision for `card`.

    `wanted`: "auto" or one of PRECISIONS; `default`: what the model's entry asks for, or "" (a quantised
    one only after it passed its quality report, so "auto" takes it). `reserve`: bytes to keep free.
    Raises ModelUnusable when the card can't do what is wanted, or has too little memory.
    """
    if wanted not in (*PRECISIONS, "auto"):
        raise ModelUnusable(_("“%(name)s” is not a precision. Use auto or one of %(known)s."),
                            name=wanted, known=", ".join(PRECISIONS))
    plain = "bf16" if card.capability is not None and not lacks("bf16", card) else "fp32"
    if wanted != "auto":
        if lacks(wanted, card):
            raise _refused(wanted, card, plain)
        precision, reason = wanted, "asked for"
    elif default in PRECISIONS and not lacks(default, card):
        precision, reason = default, "the model's own default"
    elif default:
        precision, reason = plain, f"the model's default {default} is not possible: {lacks(default, card)}"
    elif plain == "bf16":
        precision, reason = plain, "exact and fast here"
    elif card.capability is None:
        precision, reason = plain, "exact, and the fastest exact format of most CPUs"
    else:
        precision, reason = plain, lacks("bf16", card)
    dtype = torch.float32 if (plain == "fp32" and precision != "bf16") or precision == "fp32" else torch.bfloat16
    return _place(precision, dtype, reason, card, weights, reserve)


def _refused(precision: str, card: Card, plain: str) -> ModelUnusable:
    hint = _("Set MODEL_PRECISION to auto, which takes %(instead)s here.")
    if card.capability is None:
        return ModelUnusable(
            _("A CPU can't run this model in %(precision)s."), hint=hint, precision=precision, instead=plain)
    (major, minor), generation = _NEEDS[precision]
    return ModelUnusable(
        _("%(card)s can't run this model in %(precision)s: it needs compute capability %(needed)s (%(generation)s), "
          "and this card has %(has)s."),
        hint=hint, card=card.name, precision=precision, needed=f"{major}.{minor}", generation=generation,
        has="{}.{}".format(*card.capability), instead=plain,
    )


def lacks(precision: str, card: Card) -> str:
    """Why `card` can't run `precision`, or ""."""
    if precision not in PRECISIONS:
        return f"there is no precision “{precision}”"
    if card.capability is None:
        return "a CPU has no fp8 arithmetic" if precision == "fp8" else ""
    needed, generation = _NEEDS.get(precision, ((0, 0), ""))
    if card.capability >= needed:
        return ""
    major, minor = card.capability
    return (f"{precision} needs a GPU of the {generation} generation or newer, "
            f"this one has compute capability {major}.{minor}")


def _place(precision: str, dtype: torch.dtype, reason: str, card: Card, weights: Weights, reserve: int) -> Choice:
    width = dtype.itemsize
    if card.capability is None:
        needed, room = weights.resident(precision, width, offload=False), card.free
        if needed <= room:
            return Choice(precision, dtype, False, reason)
    else:
        for offload, working in ((False, WORKING), (True, WORKING), (True, TIGHT)):
            room = card.free - reserve - working
            needed = weights.resident(precision, width, offload=offload)
            if needed <= room:
                why = "; the text encoder stays in main memory, there is no room for it on the card" if offload else ""
                why += ", and larger pictures are decoded in tiles" if working == TIGHT else ""
                return Choice(precision, dtype, offload, reason + why)
    smaller = next((name for name in ("fp8", "int8", "int8wo") if precision not in GATED and not lacks(name, card)
                    and weights.resident(name, width, offload=True) <= room), "")
    hint = _("Free memory on this machine, or choose another device with MODEL_DEVICE.")
    if smaller:
        hint = _("Set MODEL_PRECISION to %(instead)s, which needs less, or choose another device with MODEL_DEVICE.")
    raise ModelUnusable(
        _("The model needs %(needed)s in %(precision)s, and %(card)s has %(free)s for it."), hint=hint,
        needed=gigabytes(needed), precision=precision, card=card.name, free=gigabytes(max(0, room)), instead=smaller,
    )


def quantise(model: FusedTransformer, precision: str, device: torch.device) -> int:
    """Turn the blocks' projections into `precision` on `device` and move the rest there; return how many were turned.

    "bf16" and "fp32": none. A model in main memory is taken to the card one projection at a time, so
    that the card never holds more than the quantised weights.

    The caption branch, embedders and modulation stay: they are a thousandth of the work. The
    checkpoint's own layers lose these weights, so that the memory is given back; LoRA branches keep
    running in the model's dtype on top. Raises ModelUnusable for fp8 on a CPU.
    """
    if precision == "fp8" and device.type != "cuda":
        raise _refused("fp8", Card.of(device), "fp32")
    if precision not in GATED:
        model.to(device)
        return 0
    quantize_, config = _torchao(precision)
    done = 0
    for block in model.blocks():
        for projection in block.modules():
            if isinstance(projection, Projection):
                projection.base.to(device)
                quantize_(projection, config, filter_fn=lambda module, _name, base=projection.base: module is base)
                projection.release()
                done += 1
    model.to(device)
    return done


def _torchao(precision: str) -> tuple[Any, Any]:
    """torchao's quantize_ and the configuration for `precision`. Its import takes a second and warns of its kernels."""
    loud = [logging.getLogger(name) for name in ("torchao", "torch.utils._pytree")]
    levels = [logger.level for logger in loud]
    for logger in loud:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from torchao.quantization import (  # type: ignore[import-untyped]  # ships no types
                Float8DynamicActivationFloat8WeightConfig,
                Int8DynamicActivationInt8WeightConfig,
                Int8WeightOnlyConfig,
                PerRow,
                quantize_,
            )
    finally:
        for logger, level in zip(loud, levels, strict=True):
            logger.setLevel(level)
    # torchao would set the whole process to time several forms of every kernel while compiling: minutes at each start.
    if precision == "fp8":
        # A scale per row: with one per tensor, outliers of 6e4 leave nothing of the other values. The
        # lower bound keeps rows of zeros (padding) from dividing by zero.
        return quantize_, Float8DynamicActivationFloat8WeightConfig(
            granularity=PerRow(), activation_value_lb=1e-12, set_inductor_config=False)
    if precision == "int8":
        return quantize_, Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)
    return quantize_, Int8WeightOnlyConfig(set_inductor_config=False)
