"""What a render needs besides its row: pictures from the storage, weights from the registry, and the way back.

Nothing here knows the engine; all pictures are made ready at the render size.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from studio import imaging, placing, storage
from studio.domain.errors import Invalid, RenderError
from studio.domain.guides import Control, ControlKind, InputRole, Lora, Weights
from studio.domain.i18n import gettext_noop as _
from studio.domain.modelcard import ModelCard
from studio.domain.spec import RenderRequest, RenderSpec
from studio.models import RenderInput, RenderJob
from studio.placing import Picture
from studio.services import inputs

#: px of the longer side of a preview of edges; the worker finds them at the render size.
PREVIEW_SIDE = 1024

NO_CONTROL = _("No ControlNet is installed. An admin adds one with manage.py model add --kind controlnet.")
NO_LORA = _("The LoRA %(name)s is no longer installed.")
MISSING = _("The picture that this render starts from is no longer stored. Upload it again.")
NO_GUIDANCE = _("This model renders without guidance. Set guidance to 0.")


# --- what is installed: the model registry fills these two ------------------------------------------
def installed_loras() -> dict[str, Weights]:
    """The LoRAs that can be chosen, by name."""
    return {}


def installed_control() -> Weights | None:
    """The ControlNet, if there is one."""
    return None


def lora_names() -> list[str]:
    """Names of the LoRAs that can be chosen, in order."""
    return sorted(installed_loras())


def control_available() -> bool:
    """Whether control maps can be used."""
    return installed_control() is not None


def lora(name: str) -> Weights:
    """The weights of a LoRA. Raises RenderError when it is not installed."""
    found = installed_loras().get(name)
    if found is None:
        raise RenderError(NO_LORA, name=name)
    return found


def check(*, request: RenderRequest, card: ModelCard) -> None:
    """Whether this model and what is installed can do what is asked. Raises Invalid, naming the field."""
    if request.guidance and not card.guides:
        raise Invalid(NO_GUIDANCE, field="guidance")
    if request.control and not control_available():
        raise Invalid(NO_CONTROL, field="control_kind")
    known = lora_names() if request.loras else []
    for wanted in request.loras:
        if wanted.name not in known:
            raise Invalid(NO_LORA, field="loras", name=wanted.name)


# --- the worker's side ------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Prepared:
    """A job's whole input for the engine, and how its picture comes back to the delivered size."""

    spec: RenderSpec
    facts: dict[str, Any]
    """What the recipe says of it."""
    source: Picture | None = None
    mask: Picture | None = None
    """Source and mask at the delivered size, for what is to be kept."""

    def deliver(self, image: Picture) -> Picture:
        """The engine's picture at exactly the delivered size, RGB; kept pixels are the source's own."""
        spec = self.spec
        if spec.image is None and spec.control is None:
            return imaging.fit(image, spec.width, spec.height)
        found = placing.unplace(image.convert("RGB"), spec.width, spec.height)
        return placing.keep(found, self.source, self.mask) if self.source and self.mask else found


def prepare(job: RenderJob) -> Prepared:
    """Fetch and place everything the job starts from. Raises RenderError for what is gone, StorageError."""
    batch, spec = job.batch, job.spec()
    sizes = job.width, job.height, job.render_width, job.render_height
    facts: dict[str, Any] = {"task": batch.task, "strength": batch.strength, "run_steps": batch.run_steps,
                             "negative": batch.negative}
    source = mask = None
    if batch.source:
        whole, facts["source"] = _open(batch.source)
        source = placing.cover(whole, job.width, job.height)
        spec = replace(spec, image=placing.place(whole, *sizes))
        if batch.mask:
            drawn, facts["mask"] = _open(batch.mask)
            mask = placing.cover(placing.as_mask(drawn, whole.size), job.width, job.height)
            # Of the mask that decides on the delivered pixels, so that both agree.
            spec = replace(spec, mask=placing.place(mask, *sizes))
    if batch.control_input:
        spec, facts["control"] = _controlled(job, spec)
    if batch.loras:
        loras = tuple(Lora(lora(entry["name"]), float(entry["weight"])) for entry in batch.loras)
        spec = replace(spec, loras=loras)
        facts["loras"] = [{"name": one.weights.name, "weight": one.weight, "sha256": one.weights.sha256}
                          for one in loras]
    return Prepared(spec, facts, source, mask)


def _controlled(job: RenderJob, spec: RenderSpec) -> tuple[RenderSpec, dict[str, Any]]:
    weights, batch = installed_control(), job.batch
    if weights is None:
        raise RenderError(NO_CONTROL)
    assert batch.control_input is not None and batch.control_scale is not None, "see batch_control_is_whole"
    kind = ControlKind(batch.control_kind)
    picture, about = _open(batch.control_input)
    drawn = placing.place(picture, job.width, job.height, job.render_width, job.render_height)
    if kind == ControlKind.CANNY:
        drawn = edges_of(drawn)
    return replace(spec, control=Control(weights, kind, drawn, batch.control_scale)), {
        "kind": kind, "scale": batch.control_scale, "model": weights.name, "sha256": weights.sha256, "input": about}


def _open(row: RenderInput) -> tuple[Picture, dict[str, str]]:
    """The picture, and what the recipe says of it."""
    try:
        image = placing.read(inputs.read(row), mask=row.role == InputRole.MASK)
    except storage.FileMissing as error:
        raise RenderError(MISSING) from error
    return image, {"id": str(row.pk), "sha256": row.sha256}


def edges_of(image: Picture) -> Picture:
    """Canny edges of a picture."""
    from studio import edges  # OpenCV is large: not before somebody asks

    return edges.canny(image)


def preview_edges(row: RenderInput) -> bytes:
    """A PNG of the edges that canny finds in an uploaded picture. Raises FileMissing, StorageError."""
    return placing.encode(edges_of(placing.reduced(placing.read(inputs.read(row)), PREVIEW_SIDE)))


def pixels(image: Picture) -> str:
    """SHA-256, in hex, over the RGB bytes of the engine's picture: equal for equal pixels."""
    return sha256(image.convert("RGB").tobytes()).hexdigest()
