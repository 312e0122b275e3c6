"""How much memory a picture takes, told before it is begun.

The constants are exact counts of live tensors, taken from full-size models on the meta device by
tests/render/live.py, which also holds them to these formulas. What kernels take besides is MARGIN.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from studio.domain.errors import RenderError
from studio.domain.i18n import gettext_noop as _
from studio.render.fused import PADDING

#: Live values per token and channel at the peak of a block, which is its rotary embedding: the
#: stream and its norm, q, k and v twice, and fp32 copies for the rotation.
DENOISE_VALUES, DENOISE_BYTES = 18, 6.7
#: Live values per pixel, in channels of the VAE's outermost level, at the decoder's last and the encoder's first stage.
#: The decoder holds what comes from the level below on top, in that one's channels.
DECODE_VALUES, ENCODE_VALUES = 4, 5
#: Convolution and matrix workspaces, and holes between blocks of the allocator.
MARGIN = 1.25
#: Side of a tile in pixels when the picture is decoded in tiles, and finished RGB values held per pixel.
TILE = 512
TILED_VALUES = 3 * 3
#: Kept free in main memory, where EngineOptions.reserve does not count.
CPU_RESERVE = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of activations by stage, beside the weights. Stages run one after the other."""

    denoise: int
    decode: int
    decode_tiled: int


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether a size can be rendered, and how. `needed` and `free` are bytes."""

    ok: bool
    tile_decode: bool
    needed: int
    free: int
    reason: str


def predict(
    config: Any, vae: Any, width: int, height: int, dtype_bytes: int, *, batch: int = 1, caption: int = 512,
    encode: bool = False,
) -> Need:
    """What `batch` pictures of `width` x `height` px take; guidance doubles the batch.

    `config` and `vae` are the transformer's and the VAE's; `caption` counts tokens. The VAE works on
    one picture at a time; `encode`: the render starts from a picture.
    """
    cell = 2 ** (len(vae.block_out_channels) - 1) * 2  # px a token
    tokens = _padded(-(-width // cell) * -(-height // cell)) + _padded(caption)
    denoise = batch * tokens * config.dim * (DENOISE_VALUES * dtype_bytes + DENOISE_BYTES)
    outer, below = (*vae.block_out_channels, *vae.block_out_channels)[:2]  # a VAE may have one level only
    decode = DECODE_VALUES * outer + below
    widest = dtype_bytes * (max(decode, ENCODE_VALUES * outer) if encode else decode)
    pixels = width * height
    tiled = widest * min(pixels, TILE * TILE) + TILED_VALUES * dtype_bytes * pixels
    return Need(int(denoise * MARGIN), int(widest * pixels * MARGIN), int(tiled * MARGIN))


@dataclass(frozen=True, slots=True)
class Budget:
    """Memory of one device in bytes: `free` now, of `total`, and `reserve` not to be touched."""

    total: int
    free: int
    reserve: int

    @classmethod
    def of(cls, device: torch.device, reserve: int) -> Budget:
        """As it is now. What torch holds for reuse counts as free; on a CPU, CPU_RESERVE replaces `reserve`."""
        if device.type == "cuda":
            free, total = torch.cuda.mem_get_info(device)
            free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            return cls(total, free, reserve)
        total, free = main_memory()
        return cls(total, free, CPU_RESERVE)

    def plan(self, need: Need) -> Fit:
        """Whether `need` fits, and if the picture must be decoded in tiles for that."""
        free = max(0, self.free - self.reserve)
        needed = max(need.denoise, need.decode)
        tiled = max(need.denoise, min(need.decode, need.decode_tiled))
        if needed <= free:
            return Fit(True, False, needed, free, f"{gigabytes(needed)} of {gigabytes(free)}")
        if tiled <= free:
            return Fit(
                True, True, tiled, free, f"decoded in tiles: {gigabytes(needed)} at once, {gigabytes(free)} free")
        return Fit(False, True, tiled, free, f"{gigabytes(tiled)} needed, {gigabytes(free)} free")

    def require(self, need: Need, width: int, height: int) -> Fit:
        """As `plan`, for a picture of `width` x `height` px. Raises RenderError when it does not fit."""
        fit = self.plan(need)
        if not fit.ok:
            raise RenderError(
                _("%(width)d × %(height)d px needs about %(needed)s of memory, and %(free)s is free."),
                hint=_("Nothing was charged. Choose a smaller format, or ask an admin to free memory on the machine "
                       "that renders."),
                width=width, height=height, needed=gigabytes(fit.needed), free=gigabytes(fit.free),
            )
        return fit


def main_memory() -> tuple[int, int]:
    """(total, free) bytes of main memory for this process: the machine's, or what its container may use (Linux)."""
    try:
        rows = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 2**62, 2**62  # another system: nothing is refused
    found = {name: int(rest.split()[0]) * 1024 for name, _colon, rest in (row.partition(":") for row in rows)}
    total, free = found["MemTotal"], found.get("MemAvailable", found["MemFree"])
    limit, used = (_number(Path("/sys/fs/cgroup") / name) for name in ("memory.max", "memory.current"))
    if limit is None or used is None:
        return total, free
    # Cached files count as used there, and are given back when memory is asked for.
    return min(total, limit), min(free, max(0, limit - used + (_cached() or 0)))


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on a GPU or in main memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return "DefaultCPUAllocator" in str(error)  # torch has no class of its own for main memory


def gigabytes(count: int) -> str:
    """Bytes as people read them."""
    return f"{count / 1e9:.1f} GB"


def _padded(tokens: int) -> int:
    return tokens + -tokens % PADDING


def _number(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None  # "max": no limit


def _cached() -> int | None:
    try:
        rows = Path("/sys/fs/cgroup/memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(row.split()[1]) for row in rows if row.startswith("inactive_file ")), None)
