"""Compiled transformer blocks: once for all sizes and prompts, with the result kept on disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor
from torch._dynamo.exc import TorchDynamoException
from torch._inductor.exc import InductorError

from studio.render.fused import PATCH, FusedTransformer
from studio.render.levers import OFF, Lever, why
from studio.render.memory import out_of_memory

#: What torch raises when it can't compile. Out of memory is not among them.
FAILURES = (TorchDynamoException, InductorError)
#: One code object serves all blocks; with and without LoRAs, modulation and batches it has several versions.
RECOMPILE_LIMIT = 64
_CAPTION = 77  # tokens of the prompt that is compiled with


class Compiler:
    """Compiles the blocks of one model and takes it back when that fails.

    Each block is compiled for itself (the blocks are alike: torch makes one kernel set of them)
    with dynamic sizes: one compilation serves all of them, where fixed sizes would hit the limit
    after 8 formats. The caption refiner stays as it is: tuned for its few tokens, the shared
    kernels would be slow for pictures.
    """

    def __init__(
        self, model: FusedTransformer, *, on: bool = True, cache: Path | None = None, asked: bool = True
    ) -> None:
        """Compile lazily from now on; `prewarm` does the work.

        `cache`: folder for kernels, kept over restarts. `asked`: sizes to prewarm were given, without
        which a CPU is not worth it. `lever` says what became of it.
        """
        self._model = model
        device = model.device.type
        if not on:
            self.lever = Lever(False, OFF)
        elif device != "cuda" and not asked:
            # Demo model: steps take 0.7 of the time, but the first start 100 s more and each later one 10 to 20 s.
            self.lever = Lever(False, "on a CPU only when PREWARM names sizes: starting takes a minute longer")
        elif device != "cuda" and not (shutil.which("g++") or shutil.which("clang++") or os.environ.get("CXX")):
            self.lever = Lever(False, "there is no C++ compiler")
        else:
            if cache is not None:
                use_cache(cache)
            torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
            for block in model.blocks():
                block.compile(fullgraph=True, dynamic=True)
            self.lever = Lever(True, f"{len(model.blocks())} blocks, kernels kept in {cache}" if cache else
                               f"{len(model.blocks())} blocks, compiled anew at each start (no COMPILE_CACHE)")

    def prewarm(self, sizes: Iterable[tuple[int, int]]) -> None:
        """Run one step at each size (rows, columns of tokens), which compiles; on failure, none is compiled.

        Raises torch.OutOfMemoryError when a size does not fit.
        """
        if not self.lever.used:
            return
        for rows, columns in sizes:
            try:
                self._step(rows, columns)
            except FAILURES as error:
                self.give_up(error)
                return
            except RuntimeError as error:
                # A broken tool chain shows as a bare RuntimeError while compiling.
                if out_of_memory(error):
                    raise
                self.give_up(error)
                return

    def give_up(self, error: BaseException) -> None:
        """Run the blocks as they are from now on, because of `error`."""
        for block in self._model.blocks():
            block._compiled_call_impl = None  # what nn.Module.compile sets; there is no public way back
        torch._dynamo.reset()
        self.lever = Lever(False, f"compiling failed: {type(error).__name__}: {why(error)}")

    @torch.no_grad()
    def _step(self, rows: int, columns: int) -> None:
        model = self._model
        width = int(model.config.cap_feat_dim)
        caption = torch.zeros((_CAPTION, width), device=model.device, dtype=model.dtype)
        plan = model.prepare([caption], rows=rows, columns=columns, times=torch.zeros(1))
        shape = (1, model.channels, rows * PATCH, columns * PATCH)
        latents: Tensor = torch.zeros(shape, device=model.device)
        model.velocity(latents, plan, 0)


def use_cache(folder: Path) -> None:
    """Keep compiled kernels in `folder`, which must be this user's alone: torch runs what it finds there."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # torch reads both when it first compiles.
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    os.environ["TRITON_CACHE_DIR"] = str(folder / "triton")
