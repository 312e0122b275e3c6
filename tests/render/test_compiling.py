from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ZImageTransformer2DModel
from torch import nn

from studio.render.compiling import Compiler
from studio.render.fused import FusedTransformer


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Any:
    torch.manual_seed(1)
    yield FusedTransformer(ZImageTransformer2DModel(
        dim=32, n_layers=2, n_refiner_layers=1, n_heads=1, n_kv_heads=1, cap_feat_dim=32, in_channels=16,
        axes_dims=[8, 12, 12], axes_lens=[256, 64, 64],
    ).eval())
    torch._dynamo.reset()


def velocity(model: FusedTransformer, rows: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    plan = model.prepare(
        [torch.randn((9, 32), generator=generator)], rows=rows, columns=3, times=torch.tensor([0.3]))
    return model.velocity(torch.randn((1, 16, 2 * rows, 6), generator=generator), plan, 0)


def traced(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    original = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda self, **options: original(self, backend=backend, **options))


def test_one_trace_serves_all_sizes(model: FusedTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    graphs: list[Any] = []

    def count(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    wanted = [velocity(model, rows) for rows in (4, 6, 11)]
    traced(monkeypatch, count)
    compiler = Compiler(model)
    compiler.prewarm([(4, 3), (8, 6)])
    assert compiler.lever.used, compiler.lever.reason
    made = len(graphs)
    for rows, exact in zip((4, 6, 11), wanted, strict=True):
        torch.testing.assert_close(velocity(model, rows), exact, rtol=1e-4, atol=1e-5)
    assert 0 < made == len(graphs) <= 4


def test_a_failure_falls_back_with_its_reason(model: FusedTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(graph: Any, inputs: Any) -> Any:
        raise ValueError("ptxas is too old")

    wanted = velocity(model)
    traced(monkeypatch, broken)
    compiler = Compiler(model)
    compiler.prewarm([(4, 3)])
    assert not compiler.lever.used and "ptxas is too old" in compiler.lever.reason
    assert torch.equal(velocity(model), wanted)
    compiler.prewarm([(4, 3)])  # nothing more to do


def test_out_of_memory_is_not_a_failure_to_compile(model: FusedTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    traced(monkeypatch, "eager")
    compiler = Compiler(model)

    def short(*args: Any, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model, "run", short)
    with pytest.raises(torch.OutOfMemoryError):
        compiler.prewarm([(4, 3)])
    assert compiler.lever.used


def test_it_is_left_alone_where_it_does_not_pay(model: FusedTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "LEVERS_OFF" in Compiler(model, on=False).lever.reason
    assert "CPU" in Compiler(model, asked=False).lever.reason
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.delenv("CXX", raising=False)
    assert Compiler(model).lever.reason == "there is no C++ compiler"
    assert all(block._compiled_call_impl is None for block in model.blocks())


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("g++"), reason="there is no C++ compiler")
def test_compiled_blocks_give_the_same_and_their_kernels_are_kept(
    model: FusedTransformer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # put back afterwards
    wanted = [velocity(model, rows) for rows in (4, 6)]
    compiler = Compiler(model, cache=tmp_path / "kernels")
    compiler.prewarm([(4, 3)])
    assert compiler.lever.used, compiler.lever.reason
    for rows, exact in zip((4, 6), wanted, strict=True):
        torch.testing.assert_close(velocity(model, rows), exact, rtol=1e-4, atol=1e-5)
    assert list((tmp_path / "kernels").rglob("*.so")) and (tmp_path / "kernels").stat().st_mode & 0o077 == 0
