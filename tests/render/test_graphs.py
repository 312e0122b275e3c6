from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import ZImageTransformer2DModel
from torch import Tensor

from studio.render.compiling import Compiler
from studio.render.fused import FusedTransformer, Plan
from studio.render.graphs import SIZE, Steps


@pytest.fixture(scope="module")
def model() -> FusedTransformer:
    torch.manual_seed(1)
    return FusedTransformer(ZImageTransformer2DModel(
        dim=32, n_layers=2, n_refiner_layers=1, n_heads=1, n_kv_heads=1, cap_feat_dim=32, in_channels=16,
        axes_dims=[8, 12, 12], axes_lens=[256, 64, 64],
    ).eval())


class Capture:
    """Replays by calling, as a graph would run: on whatever its buffers hold then."""

    def __init__(self) -> None:
        self.captured = 0

    def __call__(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.captured += 1
        return run


def plan(model: FusedTransformer, seed: int = 0, *, rows: int = 4, columns: int = 3, captions: int = 1) -> Plan:
    generator = torch.Generator().manual_seed(seed)
    texts = [torch.randn((9, 32), generator=generator) for _ in range(captions)]
    return model.prepare(texts, rows=rows, columns=columns, times=torch.tensor([0.0, 0.4, 0.8]))


def latents(seed: int, *, rows: int = 4, columns: int = 3, count: int = 1) -> Tensor:
    return torch.randn((count, 16, rows * 2, columns * 2), generator=torch.Generator().manual_seed(seed))


def timer(*times: float) -> Any:
    left = iter(times * 20)
    return lambda run: next(left)


def test_on_a_cpu_steps_are_the_models_own(model: FusedTransformer) -> None:
    steps = Steps(model)
    assert not steps.lever.used and "CPU" in steps.lever.reason
    one = plan(model)
    assert torch.equal(steps.velocity(latents(1), one, 1), model.velocity(latents(1), one, 1))
    assert "LEVERS_OFF" in Steps(model, on=False).lever.reason


def test_graphs_give_the_same_for_other_prompts_steps_and_noise(model: FusedTransformer) -> None:
    capture = Capture()
    steps = Steps(model, capture=capture, timer=timer(2.0, 1.0))
    for picture in range(4):
        own = plan(model, picture)
        for step in range(own.steps):
            x = latents(10 * picture + step)
            assert torch.equal(steps.velocity(x, own, step), model.velocity(x, own, step))
        assert capture.captured == (picture > 0)
    assert "3 × 4 tokens: 1.00 ms as a graph, 2.00 ms without" in steps.lever.reason


def test_a_result_outlives_the_next_replay(model: FusedTransformer) -> None:
    out = torch.zeros(1, 16, 8, 6)

    def capture(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        return lambda: out.copy_(run())  # one place for all results, as a graph has it

    steps = Steps(model, capture=capture, timer=timer(2.0, 1.0))
    steps.velocity(latents(0), plan(model), 0)
    own = plan(model)
    first = steps.velocity(latents(1), own, 0)
    kept = first.clone()
    steps.velocity(latents(2), own, 0)
    assert torch.equal(first, kept)


def test_what_does_not_pay_stays_plain(model: FusedTransformer) -> None:
    capture = Capture()
    steps = Steps(model, capture=capture, timer=timer(1.0, 0.995))
    for seed in range(3):
        own = plan(model, seed)
        assert torch.equal(steps.velocity(latents(seed), own, 0), model.velocity(latents(seed), own, 0))
    assert capture.captured == 1 and "so without" in steps.lever.reason


def test_each_shape_has_its_own_graph_and_few_are_kept(model: FusedTransformer) -> None:
    steps = Steps(model, capture=Capture(), timer=timer(2.0, 1.0))
    for rows in range(2, 2 + SIZE + 2):
        for seed in (0, 1):
            steps.velocity(latents(seed, rows=rows), plan(model, seed, rows=rows), 0)
    assert len(steps._graphs) == SIZE
    for captions in (1, 2, 1, 2):
        own = plan(model, captions=captions)
        x = latents(3, count=2)
        assert torch.equal(steps.velocity(x, own, 0), model.velocity(x, own, 0))
    steps.clear()
    assert not steps._graphs and not steps._seen


def test_loras_and_control_run_without_graphs(model: FusedTransformer) -> None:
    capture = Capture()
    steps = Steps(model, capture=capture, timer=timer(2.0, 1.0))
    projection = model.projections()[-1]
    projection.adapt(torch.ones(1, projection.base.in_features), torch.ones(projection.base.out_features, 1))
    try:
        for seed in range(3):
            steps.velocity(latents(seed), plan(model, seed), 0)
    finally:
        projection.adapt(None, None)

    class Control:
        def hints(self, x: Tensor, model: FusedTransformer, plan: Plan, step: int) -> dict[int, Tensor]:
            return {0: torch.ones(())}

    for seed in range(3):
        own = plan(model, seed)
        found = steps.velocity(latents(seed), own, 0, Control())
        assert torch.equal(found, model.velocity(latents(seed), own, 0, Control()))
    assert capture.captured == 0


def test_a_failed_capture_is_the_end_of_graphs_not_of_the_render(model: FusedTransformer) -> None:
    def capture(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    steps = Steps(model, capture=capture)
    for seed in range(3):
        own = plan(model, seed)
        assert torch.equal(steps.velocity(latents(seed), own, 0), model.velocity(latents(seed), own, 0))
    assert steps.lever.reason == "capturing failed: operation not permitted when stream is capturing more"


def test_a_step_that_does_not_compile_is_run_as_it_is(model: FusedTransformer) -> None:
    own = plan(model)
    wanted = model.velocity(latents(0), own, 0)
    compiler = Compiler(model, asked=False)

    def broken(graph: Any, inputs: Any) -> Any:
        raise ValueError("no kernel")

    for block in model.blocks():
        block.compile(fullgraph=True, backend=broken)
    steps = Steps(model, compiler=compiler)
    assert torch.equal(steps.velocity(latents(0), own, 0), wanted)
    assert "compiling failed: BackendCompilerFailed" in compiler.lever.reason
    assert torch.equal(model.velocity(latents(0), own, 0), wanted)
