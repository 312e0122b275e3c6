"""From a registry row to its files, and what a look at them finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils import timezone

from studio import checkpoint
from studio.domain.engine import ModelFiles
from studio.domain.errors import ModelUnusable
from studio.domain.guides import Weights
from studio.domain.i18n import gettext_noop as _
from studio.models import ModelEntry, ModelKind, ModelState

CHANGED = _("The files of the model “%(name)s” have changed since they were added.")
ADD_AGAIN = _("Put the old files back, or remove the model from the registry and add it again.")
#: Parts of a checkpoint as single files.
PARTS = ("transformer", "text_encoder", "vae", "tokenizer", "config")


@dataclass(frozen=True, slots=True)
class Examined:
    """What a row says of its files."""

    sha256: str
    size_bytes: int
    family: str = ""
    card: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


def sums() -> Path:
    """Where digests of files are remembered."""
    return Path(settings.VAR_DIR) / "checksums.json"


def examine(kind: str, paths: Mapping[str, Path], family: str = "", *, deep: bool = False) -> Examined:
    """Check the files, with `deep` every weight, and compute their checksum. Raises ModelUnusable."""
    if kind == ModelKind.CHECKPOINT:
        if "folder" in paths:
            folder = paths["folder"]
            card = checkpoint.verify(folder, family, deep=deep)
            digest, files = checkpoint.checksum(folder, sums()), checkpoint.hashed_files(folder)
        else:
            transformer, text_encoder, vae, tokenizer, config = (paths[part] for part in PARTS)
            card = checkpoint.verify_files(
                transformer=transformer, text_encoder=text_encoder, vae=vae, tokenizer=tokenizer, config=config,
                family=family or "turbo", deep=deep)
            digest = checkpoint.checksum_files(
                transformer=transformer, text_encoder=text_encoder, vae=vae, tokenizer=tokenizer, config=config,
                cache=sums())
            files = iter((transformer, text_encoder, vae))
        return Examined(digest, _size(files), card.family, asdict(card))
    file = paths["file"]
    found = (checkpoint.inspect_lora if kind == ModelKind.LORA else checkpoint.inspect_controlnet)(file, deep=deep)
    return Examined(checkpoint.checksum_file(file, sums()), _size([file]), details=asdict(found))


def paths_of(entry: ModelEntry) -> dict[str, Path]:
    """The entry's paths as paths."""
    return {part: Path(path) for part, path in entry.paths.items()}


def files_of(entry: ModelEntry) -> ModelFiles:
    """What the engine needs to load a checkpoint. Nothing on the disk is looked at."""
    card = checkpoint.card_from(entry.card, Path(entry.name))
    return ModelFiles(card=card, checksum=entry.sha256, **paths_of(entry))


def weights_of(entry: ModelEntry) -> Weights:
    """What the engine needs to load a LoRA or a ControlNet."""
    return Weights(entry.name, Path(entry.paths["file"]), entry.sha256)


def note(pk: int, error: ModelUnusable | None) -> None:
    """Write down what a check found: nothing wrong, or why the model can't be used."""
    ModelEntry.objects.filter(pk=pk).update(
        state=ModelState.BROKEN if error else ModelState.OK, problem=_problem(error) if error else None,
        verified_at=timezone.now(), check_asked_at=None)


def _problem(error: ModelUnusable) -> dict[str, Any]:
    # Translated when it is shown.
    return {"message": error.message, "hint": error.hint, "params": {
        name: value if isinstance(value, int | float | str) else str(value) for name, value in error.params.items()}}


def _size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files)
