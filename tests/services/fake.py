"""A renderer without a model, for tests of the services: one flat colour from the seed."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from studio.domain.spec import OnStep, Rendered, RenderSpec, Step


class FlatRenderer:
    """Renders at once. `at_step` is called before each step is reported; it may raise."""

    def __init__(self, at_step: Callable[[int], None] = lambda index: None) -> None:
        self.provenance = {"model": "Flat", "checksum": "ab" * 32, "device": "none"}
        self.specs: list[RenderSpec] = []
        self._at_step = at_step

    def render(self, spec: RenderSpec, on_step: OnStep) -> Rendered:
        self.specs.append(spec)
        for index in range(1, spec.run_steps + 1):
            self._at_step(index)
            on_step(Step(index, spec.run_steps, b"preview"))
        image = Image.new("RGB", (spec.render_width, spec.render_height), (spec.seed % 256, 90, 200))
        return Rendered(image, {"text": 1.0, "steps": [2.0] * spec.run_steps, "decode": 3.0}, 4, False)
