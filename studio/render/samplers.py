"""The samplers on Z-Image's flow: Euler as the checkpoint brings it, and two multistep solvers of order 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    ZImagePipeline,
)

#: The solvers count in log((1 - sigma) / sigma), which has no value at pure noise.
_MOST_NOISE = 1 - 1e-6


class _FlowTimes:
    """Gives a multistep solver the noise levels and float times of the checkpoint's own scheduler.

    diffusers' solvers refuse a list of sigmas and cut times to whole numbers. Each render takes a
    new solver: what it remembers of earlier steps belongs to one picture.
    """

    flow: FlowMatchEulerDiscreteScheduler
    timesteps: torch.Tensor
    sigmas: torch.Tensor
    num_inference_steps: int

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        sigmas: list[float] | None = None,
        mu: float | None = None,
    ) -> None:
        """As FlowMatchEulerDiscreteScheduler.set_timesteps: the shift is applied to `sigmas`."""
        self.flow.set_timesteps(num_inference_steps, device, sigmas=sigmas, mu=mu)
        self.timesteps = self.flow.timesteps
        self.num_inference_steps = len(self.timesteps)
        # On the CPU: a step reads single values from it.
        self.sigmas = self.flow.sigmas.cpu().clamp(max=_MOST_NOISE)


class FlowDPMSolver(_FlowTimes, DPMSolverMultistepScheduler):
    """DPM-Solver++(2M)."""


class FlowUniPC(_FlowTimes, UniPCMultistepScheduler):
    """UniPC of order 2 with the B2(h) corrector."""


def make(name: str, flow: FlowMatchEulerDiscreteScheduler) -> Any:
    """The sampler `name` of `studio.domain.spec.SAMPLERS`, on the schedule of `flow`, the checkpoint's own.

    "euler" is `flow` itself; the others are new with every call. Raises ValueError for another name.
    """
    if name == "euler":
        return flow
    common = {
        "num_train_timesteps": flow.config.num_train_timesteps, "solver_order": 2, "use_flow_sigmas": True,
        "prediction_type": "flow_prediction", "final_sigmas_type": "zero", "lower_order_final": True,
    }
    solver: _FlowTimes
    if name == "dpmpp_2m":
        solver = FlowDPMSolver(algorithm_type="dpmsolver++", solver_type="midpoint", **common)
    elif name == "unipc":
        solver = FlowUniPC(solver_type="bh2", **common)
    else:
        raise ValueError(f"There is no sampler “{name}”.")
    solver.flow = FlowMatchEulerDiscreteScheduler.from_config(flow.config)
    return solver


@contextmanager
def sampling(pipe: ZImagePipeline, name: str) -> Iterator[None]:
    """Inside, `pipe` uses the sampler `name`; afterwards, whatever happened, the checkpoint's own again."""
    own = pipe.scheduler
    pipe.scheduler = make(name, own)
    try:
        yield
    finally:
        pipe.scheduler = own
