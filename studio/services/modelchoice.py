"""Which model the studio renders with: MODEL_DIR when it is set, else the active entry, else the demo model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.conf import settings

from studio import checkpoint
from studio.domain.engine import EngineOptions, ModelFiles
from studio.domain.errors import ModelUnusable
from studio.models import ModelEntry, ModelState
from studio.services.modelfiles import ADD_AGAIN, CHANGED, examine, files_of, note, paths_of, sums


@dataclass(frozen=True, slots=True)
class Chosen:
    """Tells one choice from the next: the active entry, its files and its precision. No entry: a plain folder."""

    entry: int | None = None
    sha256: str = ""
    precision: str = ""


def active() -> ModelEntry | None:
    """The active checkpoint; None while none was activated, or while MODEL_DIR names a folder."""
    return None if settings.MODEL_DIR_IS_SET else ModelEntry.objects.filter(active=True).first()


def chosen() -> Chosen:
    """What workers should render with now. One small query."""
    entry = active()
    return Chosen(entry.pk, entry.sha256, entry.precision) if entry else Chosen()


def current() -> ModelFiles:
    """The model the studio renders with, cheaply: the folder of MODEL_DIR, else the active one, else the demo.

    Its checksum is empty for a plain folder. Raises ModelUnusable when it is known not to work.
    """
    entry = active()
    if entry is None:
        return ModelFiles(card=checkpoint.read_card(settings.MODEL_DIR), folder=settings.MODEL_DIR)
    if entry.problem:
        raise ModelUnusable(entry.problem["message"], hint=entry.problem.get("hint", ""), **entry.problem["params"])
    return files_of(entry)


def checked(choice: Chosen) -> ModelFiles:
    """The files of `choice`, checked, with their checksum: what a worker loads. Raises ModelUnusable."""
    if choice.entry is None:
        card = checkpoint.verify(settings.MODEL_DIR)
        digest = checkpoint.checksum(settings.MODEL_DIR, sums())
        return ModelFiles(card=card, folder=settings.MODEL_DIR, checksum=digest)
    entry = ModelEntry.objects.get(pk=choice.entry)
    found = examine(entry.kind, paths_of(entry), entry.family)
    if found.sha256 != choice.sha256:
        raise ModelUnusable(CHANGED, hint=ADD_AGAIN, name=entry.name)
    return replace(files_of(entry), checksum=found.sha256)


def options(precision: str = "") -> EngineOptions:
    """How the settings say to run a model here; `precision` is what it was activated with."""
    return EngineOptions(
        device=settings.MODEL_DEVICE, precision=settings.MODEL_PRECISION, default_precision=precision,
        threads=settings.MODEL_THREADS, reserve=settings.MODEL_RESERVE_GB * 2**30, levers_off=settings.LEVERS_OFF,
        prewarm=settings.PREWARM, cache=settings.COMPILE_CACHE)


def failed(choice: Chosen, error: ModelUnusable) -> None:
    """A worker could not load it: the models page says why."""
    if choice.entry is not None:
        note(choice.entry, error)


def loaded(choice: Chosen) -> None:
    """A worker has loaded it: whatever was wrong with it is mended."""
    if choice.entry is not None:
        ModelEntry.objects.filter(pk=choice.entry, state=ModelState.BROKEN).update(state=ModelState.OK, problem=None)
