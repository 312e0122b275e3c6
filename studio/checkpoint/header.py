"""The header of a safetensors file: read within limits, and believed only when all of it fits the file."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from studio.checkpoint.problems import GET_FILE, GET_PLAIN, require_safetensors, shown, unreadable
from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _

#: Bits of a value of each type that the format knows.
BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64,
}
#: Types that weights are read from.
PLAIN = ("BF16", "F16", "F32")
#: Types that only quantised weights have.
_PACKED = frozenset({"I8", *(name for name in BITS if name.startswith(("F8", "F4", "F6")))})
#: Ends of names that quantisers give to what belongs to their weights.
_SCALES = (
    "scale_weight", "weight_scale", "weight_scale_2", "scale_input", "input_scale", "comfy_quant", "scaled_fp8",
    "weight_format", "quant_map", "absmax", "quant_state", "qweight", "qzeros", ".SCB", ".scales",
)
_MAX_HEADER = 16 * 1024 * 1024  # bytes. The format allows 100 MB; that of the real transformer has 60 kB.
_MAX_RANK = 16
_MAX_BITS = 2**63


@dataclass(frozen=True, slots=True)
class Tensor:
    """Where a tensor lies: bytes `begin` to `end` of its file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class _Twice(ValueError):
    """A name that stands in one object twice."""


def read_header(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name; reads the header, not the weights.

    Raises ModelUnusable for a pickle (before it is opened), for a header that can't be read, and for one
    that does not describe the file to its last byte: no hole, no overlap, nothing behind it.
    """
    require_safetensors(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 + length or not 2 <= length <= _MAX_HEADER:
                raise _damaged(path)
            header = _parse(file.read(length))
    except OSError as error:
        raise unreadable(path, error) from error
    except _Twice as error:
        raise ModelUnusable(
            _("%(path)s lists the tensor %(name)s twice."), hint=GET_FILE, path=path, name=shown(error)) from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path) from error
    header.pop("__metadata__", None)
    tensors = {name: _tensor(path, name, entry, 8 + length) for name, entry in header.items()}
    _check_layout(path, tensors, 8 + length, size)
    return tensors


def plain_header(path: Path) -> dict[str, Tensor]:
    """The same, for weights that can be read as they are. Raises ModelUnusable also for quantised ones."""
    tensors = read_header(path)
    for name, tensor in tensors.items():
        # Scales beside 8-bit weights would be ignored in silence, and the picture would be noise.
        if tensor.dtype in _PACKED or name.endswith(_SCALES):
            raise ModelUnusable(
                _("%(path)s holds quantised weights, such as %(name)s, which can't be loaded."),
                hint=GET_PLAIN, path=path, name=shown(name))
    return tensors


def _damaged(path: Path) -> ModelUnusable:
    return ModelUnusable(
        _("%(path)s is not a safetensors file, or its beginning is damaged."), hint=GET_FILE, path=path)


def _parse(text: bytes) -> dict[str, Any]:
    found = json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    if not isinstance(found, dict):
        raise ValueError
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Twice(next(name for name, count in Counter(name for name, _value in pairs).items() if count > 1))
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _tensor(path: Path, name: str, entry: object, start: int) -> Tensor:
    """The entry as it is written, checked by itself; offsets counted from the beginning of the file."""
    if isinstance(entry, dict) and entry.keys() == {"dtype", "shape", "data_offsets"}:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if (isinstance(dtype, str) and dtype in BITS and _whole(shape) and len(shape) <= _MAX_RANK
                and _whole(offsets) and len(offsets) == 2):
            begin, end = offsets
            bits = _bits(shape, BITS[dtype])
            if bits is not None and bits % 8 == 0 and begin <= end and end - begin == bits // 8:
                return Tensor(dtype, tuple(shape), start + begin, start + end)
    raise ModelUnusable(
        _("%(path)s: what its header says of the tensor %(name)s makes no sense."),
        hint=GET_FILE, path=path, name=shown(name))


def _whole(values: object) -> bool:
    return isinstance(values, list) and all(
        type(value) is int and 0 <= value < _MAX_BITS for value in values)  # True is an int, too


def _bits(shape: list[int], each: int) -> int | None:
    """How many bits the tensor takes; None when no file could hold them."""
    if 0 in shape:
        return 0
    total = each
    for side in shape:
        total *= side
        if total >= _MAX_BITS:
            return None
    return total


def _check_layout(path: Path, tensors: dict[str, Tensor], start: int, size: int) -> None:
    """The tensors lie one behind the other from `start` to the file's last byte."""
    at = start
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if tensor.begin != at:
            raise ModelUnusable(
                _("%(path)s: the tensor %(name)s overlaps another one, or there is a hole before it."),
                hint=GET_FILE, path=path, name=shown(name))
        at = tensor.end
    if at != size:
        raise ModelUnusable(
            _("%(path)s is incomplete: it has %(size)d bytes, and its header says %(end)d."),
            hint=GET_FILE, path=path, size=size, end=at)
