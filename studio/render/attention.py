"""The fastest exact attention kernel of this machine, chosen by timing when the model is loaded."""

from __future__ import annotations

import importlib
import statistics
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from studio.render.blocks import Attend, sdpa
from studio.render.levers import OFF, why

#: torch's kernels by the name they are reported with.
TORCH_KERNELS = {
    "flash": SDPBackend.FLASH_ATTENTION, "efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cudnn": SDPBackend.CUDNN_ATTENTION,
}
#: Largest difference from torch's own choice, relative to the norm. Two exact bf16 kernels differ by
#: their order of summing, about 2e-3; fp8 attention by 3e-2.
TOLERANCE = 1e-2
#: A kernel must be this much faster than torch's own choice: less is noise between two runs.
WORTH = 0.97

Timer = Callable[[Callable[[], Tensor]], float]


def choose(
    device: torch.device, dtype: torch.dtype, heads: int, head_dim: int, tokens: int, *, on: bool = True
) -> tuple[Attend, str, str]:
    """(kernel, name, reason) for sequences of about `tokens` tokens of `heads` x `head_dim`.

    Times every kernel on the same random data (never zeros: they draw less power and clock higher)
    and compares its output with torch's own. A kernel that can't run here or gives other numbers is
    left out, with its reason.
    """
    if not on:
        return sdpa, "sdpa", OFF
    if device.type != "cuda":
        return sdpa, "sdpa", "the only kernel on a CPU"
    found, missing = candidates()
    generator = torch.Generator(device).manual_seed(0)
    q, k, v = (
        torch.randn((1, tokens, heads, head_dim), generator=generator, device=device, dtype=dtype) for _ in range(3))
    return fastest(found, (q, k, v), time_on_gpu, missing)


def fastest(
    found: dict[str, Attend], inputs: tuple[Tensor, Tensor, Tensor], timer: Timer, missing: dict[str, str]
) -> tuple[Attend, str, str]:
    """The fastest of `found` that agrees with `sdpa`; `timer` gives milliseconds, `missing` says what else there is."""
    wanted = sdpa(*inputs)
    times = {"sdpa": timer(lambda: sdpa(*inputs))}
    left_out = dict(missing)
    for name, attend in found.items():
        try:
            error = _difference(attend(*inputs), wanted)
            if error <= TOLERANCE:
                times[name] = timer(lambda attend=attend: attend(*inputs))  # type: ignore[misc]  # the default binds
            else:
                left_out[name] = f"differs by {error:.1e}"
        except RuntimeError as error:
            left_out[name] = why(error)
    best = min(times, key=lambda name: times[name])
    if times[best] > WORTH * times["sdpa"]:
        best = "sdpa"
    reason = "timed " + ", ".join(f"{name} {ms:.2f} ms" for name, ms in sorted(times.items(), key=lambda item: item[1]))
    if left_out:
        reason += "; left out " + ", ".join(f"{name} ({text})" for name, text in left_out.items())
    return {**found, "sdpa": sdpa}[best], best, reason


def candidates() -> tuple[dict[str, Attend], dict[str, str]]:
    """Kernels to try besides `sdpa` by name, and why others are missing."""
    found: dict[str, Attend] = {name: _only(backend) for name, backend in TORCH_KERNELS.items()}
    flash_3, reason = flash_attention_3()
    if flash_3 is None:
        return found, {"flash_3": reason}
    return {**found, "flash_3": flash_3}, {}


def time_on_gpu(run: Callable[[], Tensor], rounds: int = 7) -> float:
    """The median of `rounds` runs on the GPU, in milliseconds."""
    for _ in range(2):
        run()
    times = []
    for _ in range(rounds):
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]  # torch
        start.record()
        run()
        stop.record()
        stop.synchronize()
        times.append(float(start.elapsed_time(stop)))
    return statistics.median(times)


def _only(backend: SDPBackend) -> Attend:
    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        with sdpa_kernel(backend):
            return F.scaled_dot_product_attention(
                q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)).transpose(1, 2)

    return attend


@cache
def flash_attention_3() -> tuple[Attend | None, str]:
    """FlashAttention-3 as an operation that torch.compile takes as it is, or None and why."""
    kernel, reason = _import_flash_3()
    if kernel is None:
        return None, reason

    # Without this, compiling would look into the extension and fail at its C++ functions.
    @torch.library.custom_op("studio::flash_attention_3", mutates_args=())
    def flash_3(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        found = kernel(q, k, v)
        out: Tensor = found[0] if isinstance(found, tuple) else found  # releases differ
        return out

    @flash_3.register_fake
    def _(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return q.new_empty(q.shape)

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out: Tensor = flash_3(q, k, v)
        return out

    return attend, ""


def _import_flash_3() -> tuple[Any, str]:
    """flash_attn_func(q, k, v) of the wheel `fa3-fwd`, or of FlashAttention's own build; None and why otherwise."""
    reasons = []
    for name in ("fa3_fwd_interface", "flash_attn_interface"):
        try:
            if name == "fa3_fwd_interface":
                # The wheel renamed its modules, but not where one of them imports the other.
                sys.modules.setdefault("flash_attn_config", importlib.import_module("fa3_fwd_config"))
            return importlib.import_module(name).flash_attn_func, ""
        except ModuleNotFoundError as error:
            reasons.append(f"no module {error.name}")
        except (ImportError, OSError, RuntimeError, AttributeError) as error:
            reasons.append(why(error))
    return None, "not installed" if all(reason.startswith("no module") for reason in reasons) else "; ".join(reasons)


def _difference(one: Tensor, other: Tensor) -> float:
    # NaN compares false with everything: it must not pass as no difference.
    found = float((one.float() - other.float()).norm() / other.float().norm())
    return found if found == found else float("inf")
