"""The registry of models: add, verify, activate, remove; and which model the studio renders with."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from studio import permissions, queue, storage
from studio.domain.engine import GATED, PRECISIONS
from studio.domain.errors import Conflict, Invalid, ModelUnusable
from studio.domain.i18n import gettext_noop as _
from studio.models import ModelEntry, ModelKind, ModelLayout, ModelState, QualityReport, Team, User, Worker
from studio.models.registry import ModelEntryQuerySet
from studio.services import activity
from studio.services.modelchoice import Chosen, active, checked, chosen, current, failed, loaded, options
from studio.services.modelfiles import ADD_AGAIN, CHANGED, examine, files_of, note, paths_of, weights_of

__all__ = [
    "Chosen", "activate", "active", "add", "checked", "chosen", "current", "failed", "files_of", "find", "loaded",
    "options", "record_report", "remove", "request_check", "run_checks", "usable_controlnets", "usable_loras", "verify",
    "weights_of",
]
log = structlog.get_logger(__name__)


def find(name: str) -> ModelEntry:
    """The model of that name. Raises Invalid when there is none."""
    entry = ModelEntry.objects.filter(name=name).first() if "\x00" not in name else None
    if entry is None:
        raise Invalid(_("There is no model “%(name)s” in the registry."), field="name",
                      hint=_("`manage.py model list` shows those there are."), name=name)
    return entry


def add(
    *, name: str, paths: Mapping[str, Path], kind: ModelKind = ModelKind.CHECKPOINT, family: str = "",
    user: User | None = None,
) -> ModelEntry:
    """Look at every weight of the files, then list them under `name`.

    `paths` is {"folder": …}, or the five parts of single files, or {"file": …} for a LoRA or ControlNet.
    Raises Invalid for a name that can't be used or is taken, and ModelUnusable.
    """
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,59}", name):
        raise Invalid(_("A model's name has up to 60 of the characters a-z, 0-9, - and _."), field="name")
    if ModelEntry.objects.filter(name=name).exists():
        raise _taken(name)
    absolute = {part: Path(path).expanduser().absolute() for part, path in paths.items()}
    for path in absolute.values():
        if not str(path).isprintable():
            raise Invalid(_("A path with characters that can't be shown is not taken."), field="path")
    found = examine(kind, absolute, family, deep=True)
    try:
        with transaction.atomic(durable=True):
            entry = ModelEntry.objects.create(
                name=name, kind=kind, layout=ModelLayout.FOLDER if "folder" in absolute else ModelLayout.FILES,
                paths={part: str(path) for part, path in absolute.items()}, verified_at=timezone.now(),
                **asdict(found))
            _tell("model.added", user, name)
    except IntegrityError as error:
        raise _taken(name) from error
    return entry


def verify(*, name: str, deep: bool = False) -> ModelEntry:
    """Check the model's files and their checksum, with `deep` every weight, and write down what was found.

    Raises ModelUnusable when they can't be used any more, and Invalid when there is no such model.
    """
    entry = find(name)
    try:
        found = examine(entry.kind, paths_of(entry), entry.family, deep=deep)
        if found.sha256 != entry.sha256:
            raise ModelUnusable(CHANGED, hint=ADD_AGAIN, name=name)
    except ModelUnusable as error:
        note(entry.pk, error)
        raise
    note(entry.pk, None)
    entry.refresh_from_db()
    return entry


def request_check(*, user: User, name: str) -> None:
    """Have a worker check the model: the files lie where the workers are. Raises Forbidden, Invalid."""
    permissions.require_for_all(user, "model.manage")
    entry = find(name)
    with transaction.atomic(durable=True):
        ModelEntry.objects.filter(pk=entry.pk).update(check_asked_at=timezone.now())
        transaction.on_commit(queue.wake)


def run_checks() -> int:
    """Make the checks that were asked for; how many there were. What they find is written down."""
    names = list(ModelEntry.objects.filter(check_asked_at__isnull=False).values_list("name", flat=True))
    for name in names:
        try:
            verify(name=name)
        except ModelUnusable as error:
            log.warning("model.broken", model=name, reason=str(error))
        except Invalid:
            log.info("model.gone", model=name)  # removed meanwhile
    return len(names)


def activate(*, name: str, precision: str = "", user: User | None = None) -> ModelEntry:
    """Render with this checkpoint from the next picture on; without `user`, from the command line.

    Raises Forbidden; Invalid for what is no whole checkpoint, and for a gated precision without a passed
    quality report on these very files.
    """
    if user is not None:
        permissions.require_for_all(user, "model.manage")
    if precision not in ("", *PRECISIONS):
        raise Invalid(_("“%(precision)s” is not a precision. Use one of %(known)s."), field="precision",
                      precision=precision[:20], known=", ".join(PRECISIONS))
    find(name)
    with transaction.atomic(durable=True):
        # All rows in one order: two who activate at once wait for each other.
        rows = {row.name: row for row in ModelEntry.objects.select_for_update().order_by("pk")}
        entry = rows.get(name) or find(name)
        _require_activatable(entry, precision)
        ModelEntry.objects.filter(active=True).exclude(pk=entry.pk).update(active=False)
        ModelEntry.objects.filter(pk=entry.pk).update(active=True, precision=precision)
        _tell("model.activated", user, name)
        hints = max(1, Worker.objects.live().count())
        transaction.on_commit(lambda: queue.wake(hints))  # workers look which model is active
    entry.refresh_from_db()
    return entry


def remove(*, name: str, files: bool = False, user: User | None = None) -> list[Path]:
    """Take the model off the registry; with `files` also off the disk, when it lies under MODELS_DIR.

    Returns what was removed from the disk. Raises Conflict while it is active, Invalid for files elsewhere
    or shared with another model.
    """
    entry = find(name)
    doomed = _removable(entry) if files else []
    with transaction.atomic(durable=True):
        if not ModelEntry.objects.filter(pk=entry.pk, active=False).delete()[0]:
            raise Conflict(_("The model “%(name)s” is active."), hint=_("Activate another one first."), name=name)
        _tell("model.removed", user, name)
    for path in doomed:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return doomed


def record_report(
    *, name: str, precision: str, checksum: str, psnr: float, ssim: float, passed: bool, sheet: bytes = b"",
    details: dict[str, Any] | None = None,
) -> QualityReport:
    """Keep how far `precision` was from bf16 for the files with this checksum; `sheet` is a PNG.

    Raises Invalid for a precision that needs no report, and for files that are not the model's any more.
    """
    entry = find(name)
    if precision not in GATED:
        raise Invalid(_("“%(precision)s” is not a precision. Use one of %(known)s."), field="precision",
                      precision=precision[:20], known=", ".join(sorted(GATED)))
    if checksum != entry.sha256:
        raise Invalid(CHANGED, field="checksum", hint=ADD_AGAIN, name=name)
    key = f"reports/{entry.pk}/{sha256(sheet).hexdigest()}.png" if sheet else ""
    if sheet:
        storage.put(key, sheet, "image/png")
    with transaction.atomic(durable=True):
        return QualityReport.objects.create(
            entry=entry, precision=precision, checksum=checksum, psnr=min(100.0, psnr), ssim=ssim, passed=passed,
            sheet_key=key, details=details or {})


def usable_loras() -> ModelEntryQuerySet:
    """LoRAs that can be asked for."""
    return ModelEntry.objects.usable(ModelKind.LORA)


def usable_controlnets() -> ModelEntryQuerySet:
    """ControlNets that can be asked for."""
    return ModelEntry.objects.usable(ModelKind.CONTROLNET)


def _require_activatable(entry: ModelEntry, precision: str) -> None:
    if entry.kind != ModelKind.CHECKPOINT:
        raise Invalid(_("“%(name)s” adds to a model; only a checkpoint can be activated."), field="name",
                      name=entry.name)
    if entry.state != ModelState.OK:
        raise Invalid(_("The model “%(name)s” can't be used as it is."), field="name",
                      hint=_("Mend its files, then verify it."), name=entry.name)
    if precision in GATED:
        report = QualityReport.objects.filter(
            entry=entry, precision=precision, checksum=entry.sha256).order_by("-pk").first()
        if report is None or not report.passed:
            raise Invalid(
                _("%(precision)s changes the pictures: it needs a passed quality report on these files of “%(name)s”."),
                field="precision", hint=_("Use bf16, or have the report made first."), precision=precision,
                name=entry.name)


def _removable(entry: ModelEntry) -> list[Path]:
    """The entry's own files. Raises Invalid when they may not be removed."""
    home = Path(settings.MODELS_DIR).resolve()
    own = [path for part, path in paths_of(entry).items() if part not in ("tokenizer", "config")]
    others = [path.resolve() for other in ModelEntry.objects.exclude(pk=entry.pk) for path in paths_of(other).values()]
    for path in (own_path.resolve() for own_path in own):
        if home not in path.parents:
            raise Invalid(_("%(path)s is not in MODELS_DIR: remove the files yourself."), field="files", path=path)
        if any(path == other or path in other.parents or other in path.parents for other in others):
            raise Invalid(_("%(path)s belongs to another model, too."), field="files", path=path)
    return own


def _taken(name: str) -> Invalid:
    return Invalid(_("There is a model “%(name)s” already."), field="name", name=name)


def _tell(verb: str, user: User | None, name: str) -> None:
    """A line in every team's activity list: all of them render with it."""
    for team in Team.objects.order_by("pk"):
        activity.record(verb=verb, team=team, actor=user, model=name)
