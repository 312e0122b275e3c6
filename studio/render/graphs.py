"""A denoising step as one CUDA graph: the GPU no longer waits for Python between its kernels."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from studio.render import compiling
from studio.render.attention import time_on_gpu
from studio.render.compiling import Compiler
from studio.render.fused import FusedTransformer, Hints, Plan
from studio.render.levers import OFF, Lever, why

#: Rows, columns, caption tokens, captions, pictures.
Key = tuple[int, int, int, int, int]
#: Turns a function on fixed buffers into one that replays it; the second call gives the milliseconds of a run.
Capture = Callable[[Callable[[], Tensor]], Callable[[], Tensor]]
Timer = Callable[[Callable[[], Tensor]], float]

SIZE = 4  # graphs kept; they share one pool of memory
#: A replay must take less than this share of a plain step. At 1024 px and above a step is nearly all arithmetic.
WORTH = 0.99


class Steps:
    """The model's steps, by the fastest way that fits: a graph, compiled blocks, or as they are.

    A size is captured when its second picture begins: what is asked for once is not worth the
    capture, about six steps. With a ControlNet or LoRAs, steps run without graphs (their tensors change).
    """

    def __init__(
        self, model: FusedTransformer, on: bool = True, *, compiler: Compiler | None = None,
        capture: Capture | None = None, timer: Timer = time_on_gpu,
    ) -> None:
        """`compiler` is told when a step fails to compile. `capture`: None takes CUDA graphs where there are any."""
        self._model, self._compiler, self._timer = model, compiler, timer
        self._capture = capture
        self._graphs: OrderedDict[Key, _Graph | None] = OrderedDict()  # None: not worth it
        self._seen: dict[Key, Plan] = {}
        if not on:
            self.lever = Lever(False, OFF)
        elif capture is None and model.device.type != "cuda":
            self.lever = Lever(False, "there are no CUDA graphs on a CPU")
        else:
            self._capture = capture or CudaCapture()
            self.lever = Lever(True, "captured for each size when its second picture begins")

    @torch.no_grad()
    def velocity(self, latents: Tensor, plan: Plan, step: int, control: Hints | None = None) -> Tensor:
        """As `FusedTransformer.velocity`."""
        if self.lever.used and control is None and not self._adapted():
            graph = self._graph(latents, plan)
            if graph is not None:
                return graph(latents, plan, step)
        return self._plain(latents, plan, step, control)

    def clear(self) -> None:
        """Forget the graphs and give their memory back, as when the weights or the attention kernel change."""
        self._graphs.clear()
        self._seen.clear()

    def _plain(self, latents: Tensor, plan: Plan, step: int, control: Hints | None = None) -> Tensor:
        try:
            return self._model.velocity(latents, plan, step, control)
        except compiling.FAILURES as error:
            if self._compiler is None:
                raise
            self._compiler.give_up(error)
        return self._model.velocity(latents, plan, step, control)

    def _adapted(self) -> bool:
        model = self._model
        hooked = model.embedder._forward_hooks or model.last.linear._forward_hooks
        return bool(hooked) or any(projection.down is not None for projection in model.projections())

    def _graph(self, latents: Tensor, plan: Plan) -> _Graph | None:
        key = (plan.rows, plan.columns, plan.caption.shape[1], len(plan.caption), len(latents))
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key]
        if self._seen.setdefault(key, plan) is plan:
            while len(self._seen) > 4 * SIZE:
                del self._seen[next(iter(self._seen))]
            return None
        del self._seen[key]
        self._graphs[key] = found = self._make(latents, plan)
        while len(self._graphs) > SIZE:
            self._graphs.popitem(last=False)
        return found

    def _make(self, latents: Tensor, plan: Plan) -> _Graph | None:
        assert self._capture is not None
        self._plain(latents, plan, 0)  # compiles what must be compiled: nothing may be while capturing
        try:
            graph = _Graph(self._model, latents, plan, self._capture)
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                self.clear()
            self.lever = Lever(False, f"capturing failed: {why(error)}")
            return None
        plain = self._timer(lambda: self._plain(latents, plan, 0))
        replayed = self._timer(lambda: graph(latents, plan, 0))
        size = f"{plan.columns} × {plan.rows} tokens: {replayed:.2f} ms as a graph, {plain:.2f} ms without"
        worth = replayed < WORTH * plain
        self.lever = Lever(True, size if worth else f"{size}, so without")
        return graph if worth else None


@dataclass(slots=True)
class _Buffers:
    """What a graph reads, always at the same addresses."""

    latents: Tensor
    plan: Plan
    mods: Tensor
    final: Tensor


class _Graph:
    """One captured step."""

    def __init__(self, model: FusedTransformer, latents: Tensor, plan: Plan, capture: Capture) -> None:
        own = replace(
            plan, caption=plan.caption.clone(), rope_image=(plan.rope_image[0].clone(), plan.rope_image[1].clone()),
            rope_all=(plan.rope_all[0].clone(), plan.rope_all[1].clone()))
        self._in = buffers = _Buffers(latents.clone(), own, plan.mods[0].clone(), plan.final[0].clone())
        self._plan: Plan | None = plan
        self._run = capture(lambda: model.run(
            model.embed(buffers.latents, buffers.plan), buffers.plan, buffers.mods, buffers.final, {}))

    def __call__(self, latents: Tensor, plan: Plan, step: int) -> Tensor:
        if plan is not self._plan:
            # Positions depend on the key alone and are the same already.
            self._in.plan.caption.copy_(plan.caption)
            self._plan = plan
        self._in.latents.copy_(latents)
        self._in.mods.copy_(plan.mods[step])
        self._in.final.copy_(plan.final[step])
        return self._run().clone()  # the next replay writes to the same place


class CudaCapture:
    """Captures functions as CUDA graphs in one shared pool: they never run at the same time."""

    def __init__(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """`run` captured; its result stays in place until any graph of the pool is replayed."""
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries set themselves up in a first run, which can't be captured
            for _ in range(2):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            out = run()

        def replay() -> Tensor:
            graph.replay()
            return out

        return replay
