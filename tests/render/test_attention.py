from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend

from studio.render import attention
from studio.render.blocks import Attend, sdpa

CPU = torch.device("cpu")


@pytest.fixture
def inputs() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn((1, 32, 2, 16), generator=generator) for _ in range(3))
    return q, k, v


def clock(times: dict[str, float], names: list[str]) -> Callable[[Callable[[], Tensor]], float]:
    """A timer that gives `times` in the order of the calls."""
    left = iter(names)
    return lambda run: times[next(left)]


def test_a_cpu_has_one_kernel() -> None:
    attend, name, reason = attention.choose(CPU, torch.float32, 2, 16, 64)
    assert (attend, name, reason) == (sdpa, "sdpa", "the only kernel on a CPU")


def test_switched_off_it_says_so() -> None:
    assert "LEVERS_OFF" in attention.choose(CPU, torch.float32, 2, 16, 64, on=False)[2]


def test_the_fastest_exact_kernel_wins(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    def inexact(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return sdpa(q, k, v) * 1.05

    def broken(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        raise RuntimeError("No available kernel.\nAborting")

    def nothing(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return torch.full_like(q, torch.nan)

    found: dict[str, Attend] = {
        "slow": lambda q, k, v: sdpa(q, k, v), "quick": lambda q, k, v: sdpa(q, k, v),
        "inexact": inexact, "broken": broken, "nothing": nothing,
    }
    times = {"sdpa": 3.0, "slow": 4.0, "quick": 2.0}
    attend, name, reason = attention.fastest(found, inputs, clock(times, ["sdpa", "slow", "quick"]), {"flash_3": "no"})
    assert (attend, name) == (found["quick"], "quick")
    assert "quick 2.00 ms, sdpa 3.00 ms" in reason and "broken (No available kernel. Aborting)" in reason
    assert "inexact (differs by 5.0e-02)" in reason
    assert "nothing (differs by inf)" in reason and "flash_3 (no)" in reason


def test_a_gain_within_noise_is_none(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    found: dict[str, Attend] = {"other": lambda q, k, v: sdpa(q, k, v)}
    assert attention.fastest(found, inputs, clock({"sdpa": 3.0, "other": 2.95}, ["sdpa", "other"]), {})[1] == "sdpa"


def test_torchs_kernels_give_the_same_and_compile_whole(inputs: tuple[Tensor, Tensor, Tensor]) -> None:
    attend = attention._only(SDPBackend.MATH)
    torch.testing.assert_close(attend(*inputs), sdpa(*inputs))
    compiled = torch.compile(attend, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*inputs), sdpa(*inputs))


@pytest.fixture
def no_modules() -> Iterator[None]:
    attention.flash_attention_3.cache_clear()
    yield
    attention.flash_attention_3.cache_clear()
    for name in ("flash_attn_config", "fa3_fwd_config", "fa3_fwd_interface"):
        sys.modules.pop(name, None)


def test_flash_attention_3_is_an_operation_that_compiles(
    no_modules: None, inputs: tuple[Tensor, Tensor, Tensor]
) -> None:
    interface = ModuleType("fa3_fwd_interface")
    interface.flash_attn_func = lambda q, k, v: (sdpa(q, k, v).contiguous(), None)  # type: ignore[attr-defined]
    sys.modules |= {"fa3_fwd_interface": interface, "fa3_fwd_config": ModuleType("fa3_fwd_config")}
    attend, why = attention.flash_attention_3()
    assert attend is not None and why == ""
    assert "flash_attn_config" in sys.modules  # the wheel's own mistake
    torch.testing.assert_close(attend(*inputs), sdpa(*inputs))
    torch.testing.assert_close(torch.compile(attend, fullgraph=True, backend="eager")(*inputs), sdpa(*inputs))
    assert "flash_3" in attention.candidates()[0]


def test_without_flash_attention_3_the_reason_is_given(no_modules: None) -> None:
    found, missing = attention.candidates()
    assert list(found) == ["flash", "efficient", "cudnn"] and missing == {"flash_3": "not installed"}
