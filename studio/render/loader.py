"""Load a Z-Image model, in diffusers layout or in single files, onto a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImageTransformer2DModel
from diffusers.utils import logging as diffusers_logging
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoTokenizer, Qwen3Config, Qwen3Model
from transformers.utils import logging as transformers_logging

from studio.domain.engine import ModelFiles
from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _
from studio.render import keys, precision, tensors

#: What the libraries raise for a configuration they can't use.
_BROKEN = (
    OSError, ValueError, KeyError, TypeError, AttributeError, AssertionError, ZeroDivisionError, IndexError,
    StrictDataclassError,
)


@dataclass(slots=True)
class Parts:
    """A loaded model: its networks in evaluation mode, without gradients, on one device in one dtype."""

    transformer: ZImageTransformer2DModel
    text_encoder: Qwen3Model
    vae: AutoencoderKL
    tokenizer: Any  # a transformers tokenizer with a chat template
    scheduler: FlowMatchEulerDiscreteScheduler


def count(files: ModelFiles) -> precision.Weights:
    """How many parameters the model in `files` has, from the headers. Raises ModelUnusable."""
    found = {}
    for name, single in (("transformer", files.transformer), ("text_encoder", files.text_encoder), ("vae", files.vae)):
        paths = tensors.files_in(files.folder / name) if files.folder else [single] if single else []
        found[name] = sum(prod(one.shape) for one in tensors.listed(*paths) if not one.key.startswith("lm_head."))
    return precision.Weights(**found)


def load(
    files: ModelFiles, device: torch.device, dtype: torch.dtype, *,
    transformer_device: torch.device | None = None, text_encoder_device: torch.device | None = None,
) -> Parts:
    """The model in `files`, every tensor on `device` in `dtype`, whatever its format on disk.

    Transformer and text encoder go to devices of their own, where those are given.

    Reads local safetensors files only, one tensor at a time: no more than one copy of the weights
    is held. Raises ModelUnusable, naming the file and the tensor, for one that is missing, left
    over, of another shape, quantised or not finite; ValueError for fp16, in which Z-Image overflows.
    """
    if dtype == torch.float16:
        raise ValueError("Z-Image overflows fp16.")
    _quiet()
    root = files.folder or files.config
    assert root is not None, "single files come with a folder of configurations"
    scheduler = _configured(root / "scheduler" / "scheduler_config.json", _scheduler)
    tokenizer = _tokenizer(files.tokenizer_folder)

    def component(
        name: str, single: Path | None, make: Callable[[Path], Any], rename: Callable[[Any], Any],
        device: torch.device = device,
    ) -> Any:
        module: nn.Module = _configured(root / name / "config.json", make)
        if files.folder:
            where, paths = files.folder / name, tensors.files_in(files.folder / name)
        else:
            assert single is not None, "each component has its file"
            where, paths = single, [single]
        found = tensors.placed(tensors.listed(*paths), rename(module))
        tensors.fill(module, found, where, device, dtype)
        return module.to(device)  # buffers that are computed, not stored

    return Parts(
        transformer=component("transformer", files.transformer, _transformer, lambda _module: keys.transformer,
                              transformer_device or device),
        text_encoder=component("text_encoder", files.text_encoder, partial(_text_encoder, dtype=dtype),
                               lambda _module: keys.text_encoder, text_encoder_device or device),
        vae=component("vae", files.vae, _vae,
                      lambda module: partial(keys.vae, levels=len(module.config.up_block_types))),
        tokenizer=tokenizer, scheduler=scheduler,
    )


def _transformer(folder: Path) -> Any:
    return ZImageTransformer2DModel.from_config(ZImageTransformer2DModel.load_config(folder, local_files_only=True))


def _text_encoder(folder: Path, dtype: torch.dtype) -> Any:
    # Not from_pretrained: it fills missing tensors with random numbers and only logs it.
    return Qwen3Model._from_config(Qwen3Config.from_pretrained(folder, local_files_only=True), dtype=dtype)


def _vae(folder: Path) -> Any:
    return AutoencoderKL.from_config(AutoencoderKL.load_config(folder, local_files_only=True))


def _scheduler(folder: Path) -> Any:
    return FlowMatchEulerDiscreteScheduler.from_pretrained(folder, local_files_only=True)


def _configured(config: Path, make: Callable[[Path], Any]) -> Any:
    """What `make` builds from the folder of `config`, without weights."""
    if not config.is_file():
        raise ModelUnusable(_("The file %(path)s is missing."), path=config)
    try:
        with init_empty_weights():
            return make(config.parent)
    except _BROKEN as error:
        raise _unusable(config, error) from error


def _tokenizer(folder: Path) -> Any:
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except _BROKEN as error:
        raise _unusable(folder, error) from error
    if not getattr(tokenizer, "chat_template", None):
        raise ModelUnusable(_("The tokenizer in %(path)s has no chat template."), path=folder)
    return tokenizer


def _unusable(path: Path, error: Exception) -> ModelUnusable:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return ModelUnusable(_("The model in %(path)s can't be loaded: %(reason)s"), path=path, reason=reason[0])


def _quiet() -> None:
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


def choose_device(wanted: str) -> torch.device:
    """The device for `wanted`: "auto", "cpu", "cuda" or "cuda:N". Raises ModelUnusable."""
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ModelUnusable(
            _("The device “%(device)s” was asked for, and no GPU can be used here."),
            hint=_("Set MODEL_DEVICE to auto or cpu, or check the GPU's driver."), device=wanted,
        )
    try:
        return torch.device(wanted)
    except RuntimeError as error:
        raise ModelUnusable(_("“%(device)s” is not a device. Use auto, cpu or cuda."), device=wanted) from error
