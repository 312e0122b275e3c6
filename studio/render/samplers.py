"""The samplers on Z-Image's flow: Euler as the checkpoint brings it, and two multistep solvers of order 2."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)
from diffusers.pipelines.z_image.pipeline_z_image import calculate_shift

from studio.domain.spec import run_steps

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
    """The sampler `name` of `studio.domain.spec.SAMPLERS`, new, on the noise levels of `flow`, the checkpoint's own.

    Raises ValueError for another name.
    """
    own = FlowMatchEulerDiscreteScheduler.from_config(flow.config)
    if name == "euler":
        return own
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
    solver.flow = own
    return solver


class Schedule:
    """One picture's way from noise to the end: its sampler, times and noise levels.

    `times` [run steps], 0 at pure noise and 1 at the end, is what the model is told. `sigmas`
    [run steps + 1], on the CPU, are the noise levels before each step and, last, 0.
    """

    def __init__(
        self, name: str, flow: FlowMatchEulerDiscreteScheduler, *, steps: int, tokens: int, strength: float = 1.0,
        device: torch.device | None = None,
    ) -> None:
        """`steps` of the sampler `name`, of which a `strength` below 1 leaves the first ones out.

        `tokens` of the picture decide the shift of a checkpoint that asks for that.
        """
        self._sampler = make(name, flow)
        config = flow.config
        mu = calculate_shift(tokens, config.base_image_seq_len, config.max_image_seq_len, config.base_shift,
                             config.max_shift)
        sigmas = torch.linspace(1.0, 1 / steps, steps).tolist()
        self._sampler.set_timesteps(sigmas=sigmas, device=device, mu=mu)
        first = steps - run_steps(steps, strength)
        self._sampler.set_begin_index(first)
        self._timesteps = self._sampler.timesteps[first:]
        self.times = (1000 - self._timesteps.float()) / 1000
        self.sigmas = self._sampler.sigmas[first:].float().cpu()

    def __len__(self) -> int:
        return len(self._timesteps)

    def noised(self, clean: torch.Tensor, noise: torch.Tensor, index: int) -> torch.Tensor:
        """`clean` latents at the noise level before step `index`; after the last one they are `clean`."""
        sigma = float(self.sigmas[index])
        return sigma * noise + (1 - sigma) * clean

    def step(self, velocity: torch.Tensor, latents: torch.Tensor, index: int) -> torch.Tensor:
        """The latents after step `index`; `velocity` points from the picture to the noise. Call in order."""
        found: torch.Tensor = self._sampler.step(velocity, self._timesteps[index], latents, return_dict=False)[0]
        return found
