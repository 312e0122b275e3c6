"""Load a Z-Image pipeline from a local folder onto a device."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import ZImagePipeline
from diffusers.utils import logging as diffusers_logging
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _


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


def choose_dtype(device: torch.device) -> torch.dtype:
    """bf16 on GPUs that compute it, else fp32. Never fp16: Z-Image overflows it to black pictures."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32


def load_pipeline(folder: Path, device: torch.device, dtype: torch.dtype) -> ZImagePipeline:
    """The pipeline in `folder`, whole, on `device` in `dtype`.

    Raises ModelUnusable when a file is missing or damaged, or lacks a tensor.
    """
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    try:
        pipe = ZImagePipeline.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True
        )
        for name in ("text_encoder", "transformer", "vae"):
            _require_all_tensors(getattr(pipe, name), folder / name)
        pipe = pipe.to(device)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError, NotImplementedError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelUnusable(
            _("The model in %(path)s can't be loaded: %(reason)s"), path=folder, reason=reason[0]
        ) from error
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _require_all_tensors(module: torch.nn.Module, folder: Path) -> None:
    # transformers fills a missing tensor with random numbers and only logs it.
    stored: set[str] = set()
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            stored.update(file.keys())
    prefix = f"{getattr(module, 'base_model_prefix', '')}."
    stored |= {name.removeprefix(prefix) for name in stored}
    for name in module.state_dict():
        if name not in stored:
            raise ModelUnusable(_("%(path)s lacks the tensor %(name)s."), path=folder, name=name)
