"""Looking at every weight: infinite values and NaN are refused. Loaded only when that is asked for."""

from __future__ import annotations

from io import FileIO
from pathlib import Path

import numpy as np

from studio.checkpoint.header import Tensor
from studio.checkpoint.problems import GET_FILE, shown, unreadable
from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _

_CHUNK = 8 * 1024 * 1024  # bytes
#: Type -> how its values are read, and the bits of the exponent: all set only in infinity and NaN.
_EXPONENTS = {"BF16": ("<u2", 0x7F80), "F16": ("<u2", 0x7C00), "F32": ("<u4", 0x7F800000),
              "F64": ("<u8", 0x7FF0000000000000)}


def require_finite(path: Path, tensors: dict[str, Tensor]) -> None:
    """Read the weights of a checked file, a piece at a time. Raises ModelUnusable naming file and tensor."""
    buffer = bytearray(_CHUNK)
    try:
        with path.open("rb", buffering=0) as file:
            for name, tensor in sorted(tensors.items(), key=lambda item: item[1].begin):
                if tensor.dtype not in _EXPONENTS:
                    continue
                kind, mask = _EXPONENTS[tensor.dtype]
                file.seek(tensor.begin)
                left = tensor.end - tensor.begin
                while left:
                    count = _fill(file, memoryview(buffer)[:min(left, _CHUNK)])
                    if count < min(left, _CHUNK):
                        raise ModelUnusable(_("%(path)s became shorter while it was read."), hint=GET_FILE, path=path)
                    values = np.frombuffer(buffer, dtype=kind, count=count // np.dtype(kind).itemsize)
                    if int(np.bitwise_and(values, mask).max()) == mask:
                        raise ModelUnusable(
                            _("%(path)s: the tensor %(name)s holds a value that is not a finite number."),
                            hint=GET_FILE, path=path, name=shown(name))
                    left -= count
    except OSError as error:
        raise unreadable(path, error) from error


def _fill(file: FileIO, target: memoryview) -> int:
    """Read until `target` is full or the file ends; how many bytes were read."""
    done = 0
    while done < len(target):
        count = file.readinto(target[done:])
        if not count:
            break
        done += count
    return done
