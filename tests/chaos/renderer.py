"""A renderer that sleeps and returns one flat colour: the platform's part of a picture, without the model's."""

from __future__ import annotations

import os
import time

from PIL import Image

from studio.domain.engine import EngineOptions, ModelFiles
from studio.domain.spec import OnStep, Rendered, RenderSpec, Step

#: A prompt with this word ends the process at its second step, every time.
POISON = "poison"
#: The exit code of a process that such a prompt has ended.
POISONED = 66
PREVIEW = b"preview"
#: Seconds of one step.
STEP_SECONDS = float(os.environ.get("CHAOS_STEP_MS", "20")) / 1000


class SleepingRenderer:
    """Takes STEP_SECONDS for each step. The colour comes from the seed."""

    def __init__(self, files: ModelFiles, options: EngineOptions) -> None:
        self.provenance = {"model": "Sleeper", "checksum": files.checksum, "device": "none", "precision": "none"}

    def warm_up(self) -> None:
        """Nothing to warm."""

    def report(self) -> dict[str, str]:
        """No levers."""
        return {}

    def render(self, spec: RenderSpec, on_step: OnStep) -> Rendered:
        """Sleep through the steps."""
        steps: list[float] = []
        for index in range(1, spec.run_steps + 1):
            began = time.perf_counter()
            if STEP_SECONDS:
                time.sleep(STEP_SECONDS)
            if POISON in spec.prompt and index == 2:
                os._exit(POISONED)
            steps.append((time.perf_counter() - began) * 1000)
            on_step(Step(index, spec.run_steps, PREVIEW))
        size = spec.render_width, spec.render_height
        colour = spec.seed % 256, spec.seed // 256 % 256, 200
        return Rendered(Image.new("RGB", size, colour), {"text": 0.0, "steps": list(steps), "decode": 0.0}, 4, False)
