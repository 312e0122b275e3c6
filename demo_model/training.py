"""What every stage of the training shares: processes that average their gradients, the rate, the clock, the log."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from demo_model.muon import Muon


@dataclass(slots=True)
class Run:
    """One process of a stage. It ends after `minutes`, or after `steps` where that comes first."""

    folder: Path
    device: str
    minutes: float
    steps: int
    rank: int = 0
    world: int = 1
    done: float = 0.0
    step: int = 0
    started: float = field(default_factory=time.monotonic)
    _means: dict[str, float] = field(default_factory=dict)

    @property
    def leads(self) -> bool:
        """Whether this process writes the files and the log."""
        return self.rank == 0

    @property
    def goes_on(self) -> bool:
        """Whether there is time left. All processes agree, see `backward`."""
        return self.done < 1

    def rate(self, highest: float, *, warm: int, hold: float, lowest: float) -> float:
        """The learning rate: `warm` steps up, constant until `hold` of the time, then straight down to `lowest`."""
        down = 1.0 if self.done < hold else max(lowest, (1 - self.done) / (1 - hold))
        return highest * min(1.0, (self.step + 1) / warm) * down

    def backward(self, loss: Tensor, params: Sequence[nn.Parameter]) -> float:
        """Gradients of `loss`, averaged over the processes and clipped to norm 1; returns the norm before.

        The clock travels with them: every process goes by the first one's.
        """
        for param in params:
            param.grad = None
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        for param in params:
            if param.grad is None:
                param.grad = torch.zeros_like(param)
        self.step += 1
        self.done = min(1.0, max((time.monotonic() - self.started) / 60 / self.minutes, self.step / self.steps))
        grads = [param.grad for param in params if param.grad is not None]
        if self.world > 1:
            clock = torch.tensor([self.done * self.world if self.leads else 0.0])
            flat = torch.cat([*(grad.reshape(-1) for grad in grads), clock])
            torch.distributed.all_reduce(flat)
            flat /= self.world
            self.done = min(1.0, flat[-1].item())
            for grad, mean in zip(grads, torch.split(flat[:-1], [grad.numel() for grad in grads]), strict=True):
                grad.copy_(mean.view_as(grad))
        return float(torch.nn.utils.clip_grad_norm_(params, 1.0))

    def log(self, every: int = 25, **values: Tensor | float) -> None:
        """Print the running means of `values` every so many steps."""
        for name, value in values.items():
            now = float(value)
            if now == now:
                self._means[name] = .96 * self._means.get(name, now) + .04 * now
        if self.leads and (self.step % every == 0 or not self.goes_on):
            passed = time.monotonic() - self.started
            print(f"{self.step} {passed:.0f} s {self.step / passed:.2f}/s "
                  + " ".join(f"{name} {value:.4f}" for name, value in self._means.items()), flush=True)


def optimizers(
    matrices: Iterable[nn.Parameter], others: Iterable[nn.Parameter], run: Run,
) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices, AdamW for embeddings, norms, biases and the ends of a network."""
    return [torch.optim.AdamW(list(others), lr=0, betas=(.9, .98), weight_decay=0.0),
            Muon(matrices, lr=0, rank=run.rank, world=run.world)]


def advance(found: Iterable[torch.optim.Optimizer], rate: float) -> None:
    """One step of each optimizer at `rate`."""
    for optimizer in found:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()


def join(run: Run) -> Run:
    """Make `run` one of several processes, if `launch` started it as such; on a CPU each has its own core."""
    run.rank, run.world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if run.world > 1:
        torch.set_num_threads(1)
        torch.distributed.init_process_group("gloo")
    return run


def launch(arguments: Sequence[str], processes: int) -> None:
    """Run `python -m demo_model` with `arguments` as `processes` processes that train together.

    Two processes of one thread beat one of two: with thousands of small operations, each waits for the slower core.
    Raises SystemExit with the status of the first one that fails; the others are ended.
    """
    shared = os.environ | {"WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": _free_port(),
                           "OMP_WAIT_POLICY": "passive"}
    children = [subprocess.Popen([sys.executable, "-m", "demo_model", *arguments], env=shared | {"RANK": str(rank)})
                for rank in range(processes)]
    try:
        status = next((code for child in children if (code := child.wait())), 0)
    finally:
        for child in children:
            child.terminate()
    if status:
        raise SystemExit(status)


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
