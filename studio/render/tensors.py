"""Tensors of safetensors files, checked by name, shape and value before a model holds them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from studio.domain.errors import ModelUnusable
from studio.domain.guides import Weights
from studio.domain.i18n import gettext_noop as _

_GET_FILE = _("Copy the file again from where it came from.")
_FLOATS = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"}
# What quantising tools store beside the weights. Weights alone, without these numbers, are wrong in silence.
_QUANTISED = re.compile(
    r"(scale_weight|weight_scale(_\d+)?|scale_input|input_scale|scaled_fp8|comfy_quant|qweight|qzeros|absmax|SCB"
    r"|quant_state\S*|quant_map)$")


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in a file, or the share `part` of (index, number) equal shares of its rows."""

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: str
    part: tuple[int, int] = (0, 1)

    def share(self, index: int, number: int) -> Stored:
        """One of `number` equal shares of the rows. Raises ModelUnusable when they can't be shared so."""
        rows, *rest = self.shape or (0,)
        if rows % number:
            raise wrong_shape(self, (rows - rows % number, *rest))
        return replace(self, shape=(rows // number, *rest), part=(index, number))


class Reader:
    """Reads tensors; a context manager that keeps the files open in between."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stack = ExitStack()
        self._files: dict[Path, Any] = {}

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def read(self, stored: Stored, dtype: torch.dtype | None = None) -> Tensor:
        """The tensor on the reader's device, in `dtype` or its own, fp8 as fp32. It does not hang on the file.

        Raises ModelUnusable when the file can't be read or a value is not a finite number.
        """
        try:
            file = self._files.get(stored.path)
            if file is None:
                file = self._stack.enter_context(safe_open(stored.path, framework="pt", device=str(self._device)))
                self._files[stored.path] = file
            index, number = stored.part
            if number == 1:
                found: Tensor = file.get_tensor(stored.key)
            else:
                rows = stored.shape[0]
                found = file.get_slice(stored.key)[index * rows:(index + 1) * rows]
        except (OSError, SafetensorError) as error:
            raise _unreadable(stored.path, error) from error
        # A copy: a mapped file that is cut short later would end the process.
        found = found.to(dtype or (found.dtype if found.dtype.itemsize > 1 else torch.float32), copy=True)
        if found.numel() and found.is_floating_point():
            low, high = found.aminmax()  # either is NaN when a value is
            if not (torch.isfinite(low) and torch.isfinite(high)):
                raise ModelUnusable(
                    _("%(path)s: the tensor %(name)s holds values that are not finite numbers."),
                    hint=_GET_FILE, path=stored.path, name=stored.key)
        return found


def listed(*paths: Path) -> list[Stored]:
    """What the files hold, from their headers.

    Raises ModelUnusable for a file that can't be read or is damaged, and for quantised weights.
    """
    found = []
    for path in paths:
        try:
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 - not a dict
                    part = file.get_slice(key)
                    found.append(Stored(path, key, tuple(part.get_shape()), str(part.get_dtype())))
        except (OSError, SafetensorError) as error:
            raise _unreadable(path, error) from error
    for one in found:
        # Single whole numbers, such as a LoRA's alpha, are no weights.
        whole = one.dtype not in _FLOATS and any(side > 1 for side in one.shape)
        if whole or _QUANTISED.search(one.key):
            raise ModelUnusable(
                _("%(path)s holds quantised weights (%(name)s), which can't be loaded."),
                hint=_("Use the bf16 or fp32 files of the model."), path=one.path, name=one.key)
    return found


def metadata(path: Path) -> dict[str, str]:
    """The texts in a file's header. Raises ModelUnusable."""
    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error


def files_in(folder: Path) -> list[Path]:
    """The safetensors files of one component in diffusers layout. Raises ModelUnusable when there are none."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelUnusable(_("%(path)s holds no safetensors file."), path=folder)
    for name in ("diffusion_pytorch_model", "model"):
        shards = sorted(folder.glob(f"{name}-*-of-*.safetensors"))
        if shards:
            return shards
        # Beside it may lie variants, such as one in fp16.
        if folder / f"{name}.safetensors" in files:
            return [folder / f"{name}.safetensors"]
    return files


def placed(stored: Iterable[Stored], rename: Callable[[str], str | None]) -> dict[str, Stored]:
    """Tensors by the model's own names. `rename` gives them, or None for a tensor the model leaves out.

    A fused `attention.qkv.weight` becomes shares for q, k and v. Raises ModelUnusable for two
    tensors of one name.
    """
    found: dict[str, Stored] = {}
    for one in stored:
        name = rename(one.key)
        if name is None:
            continue
        shares = {name: one}
        if name.endswith(".attention.qkv.weight"):
            block = name.removesuffix("qkv.weight")
            shares = {f"{block}to_{x}.weight": one.share(index, 3) for index, x in enumerate("qkv")}
        if found.keys() & shares.keys():
            raise unexpected(one)
        found |= shares
    return found


def fill(
    module: nn.Module, found: Mapping[str, Stored], where: Path, device: torch.device, dtype: torch.dtype,
) -> None:
    """Give `module`, made on the meta device, exactly the tensors it needs, on `device` in `dtype`.

    Names and shapes are checked before the first tensor is read; tensors are read one by one, so
    that no more than one copy of the weights is held. Shapes may differ in sides of 1, as those of
    a 1x1 convolution and a linear layer do. `where` is named for a missing tensor. Raises
    ModelUnusable.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    for name, shape in wanted.items():
        if name not in found:
            raise missing(where, name)
        if _solid(found[name].shape) != _solid(shape):
            raise wrong_shape(found[name], shape)
    for name, one in found.items():
        if name not in wanted:
            raise unexpected(one)
    with Reader(device) as reader:
        state = {name: reader.read(found[name], dtype).reshape(shape) for name, shape in wanted.items()}
    module.load_state_dict(state, strict=True, assign=True)
    module.requires_grad_(False).eval()


_digests: dict[tuple[Path, int, int], str] = {}


def stamp(weights: Weights) -> tuple[Path, int, int]:
    """What changes when the file does. The SHA-256, where one is given, is compared once for each stamp.

    Raises ModelUnusable when the file can't be read or is another one.
    """
    path = weights.path
    try:
        stat = path.stat()
        found = (path, stat.st_size, stat.st_mtime_ns)
        if weights.sha256 and found not in _digests and path.is_file():
            with path.open("rb") as file:
                _digests[found] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error
    if weights.sha256 and _digests.get(found, "") != weights.sha256.lower():
        raise ModelUnusable(
            _("%(path)s is not the file it was when it was added: its SHA-256 differs."), hint=_GET_FILE, path=path)
    return found


def missing(where: Path, name: str) -> ModelUnusable:
    """The error for a tensor that is not there."""
    return ModelUnusable(_("%(path)s lacks the tensor %(name)s."), path=where, name=name)


def unexpected(stored: Stored) -> ModelUnusable:
    """The error for a tensor that the model can't use."""
    return ModelUnusable(
        _("%(path)s holds the tensor %(name)s, which this model has no place for."), path=stored.path, name=stored.key)


def wrong_shape(stored: Stored, wanted: tuple[int, ...]) -> ModelUnusable:
    """The error for a tensor that does not fit."""
    return ModelUnusable(
        _("%(path)s: the tensor %(name)s has the shape %(found)s, and this model needs %(wanted)s."),
        path=stored.path, name=stored.key, found=_sides(stored.shape), wanted=_sides(wanted))


def _unreadable(path: Path, error: Exception) -> ModelUnusable:
    if isinstance(error, OSError):
        return ModelUnusable(_("%(path)s can't be read: %(reason)s."), path=path, reason=error.strerror or error)
    return ModelUnusable(_("%(path)s is not a whole safetensors file."), hint=_GET_FILE, path=path)


def _sides(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "1"


def _solid(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side for side in shape if side != 1)
