"""Manage the models that the studio renders with."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.module_loading import import_string

from studio import hub, imaging
from studio.checkpoint import CONFIGS
from studio.domain.engine import GATED, PRECISIONS
from studio.domain.errors import StudioError
from studio.domain.modelcard import FAMILIES
from studio.models import ModelEntry, ModelKind
from studio.services import models
from studio.services.modelfiles import PARTS


class Command(BaseCommand):
    """`manage.py model add|list|verify|activate|compare|remove|fetch`."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """One parser for each verb."""
        verbs = parser.add_subparsers(dest="verb", required=True)
        add = verbs.add_parser("add", help="check files and list them under a name")
        add.add_argument("name")
        add.add_argument("path", nargs="?", type=Path,
                         help="a folder in diffusers layout, or the file of a LoRA or ControlNet")
        add.add_argument("--kind", choices=[str(kind) for kind in ModelKind], default=str(ModelKind.CHECKPOINT))
        add.add_argument("--family", choices=FAMILIES, default="",
                         help="default: what the model's card says, else turbo")
        for part in PARTS:
            add.add_argument(f"--{part.replace('_', '-')}", type=Path)
        listing = verbs.add_parser("list", help="show what is in the registry")
        listing.add_argument("--json", action="store_true")
        verify = verbs.add_parser("verify", help="check files again")
        verify.add_argument("name", nargs="?")
        verify.add_argument("--all", action="store_true")
        verify.add_argument("--deep", action="store_true", help="read every weight")
        activate = verbs.add_parser("activate", help="render with this checkpoint from the next picture on")
        activate.add_argument("name")
        activate.add_argument("--precision", choices=PRECISIONS, default="")
        compare = verbs.add_parser("compare", help="render fixed prompts exactly and in a precision; keep the report")
        compare.add_argument("name")
        compare.add_argument("--precision", choices=sorted(GATED), required=True)
        compare.add_argument("--sheet", type=Path, help="also write the side-by-side sheet to this PNG file")
        remove = verbs.add_parser("remove", help="take a model off the registry")
        remove.add_argument("name")
        remove.add_argument("--files", action="store_true", help="also off the disk, when it lies in MODELS_DIR")
        fetch = verbs.add_parser("fetch", help="download a checkpoint, check it, add it")
        fetch.add_argument("--hub", choices=sorted(hub.HUBS), default=settings.MODEL_HUB)
        fetch.add_argument("--repo", default=hub.OFFICIAL)
        fetch.add_argument("--name", default="", help="default: the repository's name in small letters")
        fetch.add_argument("--family", choices=FAMILIES, default="")
        fetch.add_argument("--only", choices=["tokenizer"], default="", help="download this part and add nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; what is refused is one line."""
        try:
            getattr(self, f"_{options['verb']}")(options)
        except StudioError as error:
            raise CommandError(f"{error} {error.hint}".strip()) from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error

    def _add(self, options: dict[str, Any]) -> None:
        kind = ModelKind(options["kind"])
        entry = models.add(name=options["name"], paths=_paths(kind, options), kind=kind, family=options["family"])
        self._say_added(entry)

    def _list(self, options: dict[str, Any]) -> None:
        entries = list(ModelEntry.objects.all())
        if options["json"]:
            fields = ("name", "kind", "family", "layout", "paths", "precision", "active", "state", "sha256",
                      "size_bytes", "details", "problem")
            self.stdout.write(json.dumps([{field: getattr(e, field) for field in fields} for e in entries], indent=1))
            return
        if not entries:
            self.stdout.write(
                "No models yet. `manage.py model fetch` downloads one, `manage.py model add` takes files.")
            return
        rows = [("", "NAME", "KIND", "FAMILY", "SIZE", "PRECISION", "SHA-256", "STATE"), *(
            ("*" if e.active else "", e.name, e.kind, e.family, f"{e.size_bytes / 1e9:.2f} GB", e.precision or "auto",
             e.sha256[:12], e.state) for e in entries)]
        widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
        for row in rows:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if settings.MODEL_DIR_IS_SET:
            self.stdout.write(f"MODEL_DIR is set: workers render with {settings.MODEL_DIR}.")

    def _verify(self, options: dict[str, Any]) -> None:
        if bool(options["name"]) == options["all"]:
            raise CommandError("Name a model, or use --all.")
        names = [options["name"]] if options["name"] else list(ModelEntry.objects.values_list("name", flat=True))
        broken = []
        for name in names:
            try:
                models.verify(name=name, deep=options["deep"])
                self.stdout.write(f"{name}: whole.")
            except StudioError as error:
                broken.append(f"{name}: {error} {error.hint}".strip())
        if broken:
            raise CommandError("\n".join(broken))

    def _activate(self, options: dict[str, Any]) -> None:
        models.verify(name=options["name"])
        entry = models.activate(name=options["name"], precision=options["precision"])
        self.stdout.write(f"{entry.name} is active; workers take it up before their next picture.")
        if settings.MODEL_DIR_IS_SET:
            self.stdout.write(f"But MODEL_DIR is set: until it is unset they render with {settings.MODEL_DIR}.")

    def _compare(self, options: dict[str, Any]) -> None:
        entry = models.verify(name=options["name"])
        if entry.kind != ModelKind.CHECKPOINT:
            raise CommandError(f"{entry.name} is no checkpoint: there is nothing to compare.")
        self.stdout.write("Rendering the same prompts and seeds twice; this takes a while ...")
        found, drawn = import_string(settings.QUALITY_GATE)(
            models.files_of(entry), models.options(), options["precision"])
        sheet = imaging.encode_png(drawn)
        models.record_report(
            name=entry.name, precision=options["precision"], checksum=entry.sha256, psnr=found.psnr, ssim=found.ssim,
            passed=found.passed, sheet=sheet, details={"rows": [asdict(row) for row in found.rows]})
        if options["sheet"]:
            options["sheet"].write_bytes(sheet)
        self.stdout.write(f"{entry.name} in {options['precision']}: {found.text}.")
        if found.passed:
            self.stdout.write("Look at the sheet on the models page before you make it the default: "
                              f"`manage.py model activate {entry.name} --precision {options['precision']}`.")

    def _remove(self, options: dict[str, Any]) -> None:
        gone = models.remove(name=options["name"], files=options["files"])
        self.stdout.write(f"{options['name']} is off the registry.")
        for path in gone:
            self.stdout.write(f"Removed {path}")

    def _fetch(self, options: dict[str, Any]) -> None:
        tail = options["repo"].rstrip("/").rpartition("/")[2].lower()
        name = options["name"] or "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in tail)
        folder = settings.MODELS_DIR / name
        hub.download(hub=options["hub"], repo=options["repo"], folder=folder, only=options["only"])
        if options["only"]:
            self.stdout.write(f"The {options['only']} is in {folder / options['only']}")
            return
        self.stdout.write("Downloaded. Checking every weight ...")
        if ModelEntry.objects.filter(name=name, paths={"folder": str(folder)}).exists():
            models.verify(name=name, deep=True)
            self.stdout.write(f"{name} was in the registry already; it is whole.")
            return
        family = options["family"] or ("base" if tail == "z-image" else "")
        self._say_added(models.add(name=name, paths={"folder": folder}, family=family))

    def _say_added(self, entry: ModelEntry) -> None:
        what = ", ".join(f"{name} {value}" for name, value in entry.details.items())
        kind = f"{entry.kind} ({what})" if what else entry.kind
        self.stdout.write(f"{entry.name} is in the registry: {kind}, {entry.sha256[:12]}.")
        if entry.kind == ModelKind.CHECKPOINT and not entry.active:
            self.stdout.write(f"`manage.py model activate {entry.name}` makes the workers render with it.")


def _paths(kind: ModelKind, options: dict[str, Any]) -> dict[str, Path]:
    """What `add` was given, as the registry names it. Raises CommandError for a mixture."""
    parts = {part: options[part] for part in PARTS if options[part]}
    if kind != ModelKind.CHECKPOINT:
        if options["path"] and not parts:
            return {"file": options["path"]}
        raise CommandError(f"Give the file of the {kind}.")
    if options["path"] and not parts:
        return {"folder": options["path"]}
    missing = [part for part in PARTS[:4] if part not in parts]
    if missing == ["tokenizer"] and not options["path"]:
        raise CommandError("--tokenizer is missing: `manage.py model fetch --only tokenizer` brings its folder.")
    if options["path"] or missing:
        raise CommandError("Give a folder, or --transformer, --text-encoder, --vae and --tokenizer.")
    return {"config": CONFIGS[options["family"] or "turbo"], **parts}
