"""Render one picture without web and queue; print the recipe and the timings."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from secrets import randbelow
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from django.utils.module_loading import import_string

from studio import checkpoint, edges, imaging, labels, placing
from studio.domain.engine import PRECISIONS, EngineOptions, ModelFiles
from studio.domain.errors import StudioError
from studio.domain.guides import CONTROL_SCALE, STRENGTH, Control, ControlKind, Lora, Weights
from studio.domain.spec import MAX_SEED, SAMPLER, SAMPLERS, Engine, RenderRequest, RenderSpec, Step, Target
from studio.services import models


class Command(BaseCommand):
    """`manage.py render_once --prompt "a red rose" --width 1024 --height 1024 --out rose.png --json`."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        """What to render, with what, and where to put it."""
        parser.add_argument("--prompt", required=True)
        parser.add_argument("--width", type=int, default=1024, help="pixels")
        parser.add_argument("--height", type=int, default=1024, help="pixels")
        parser.add_argument("--out", type=Path, required=True, help="the PNG file to write")
        parser.add_argument("--seed", type=int, help=f"0 to {MAX_SEED}; random without")
        parser.add_argument("--steps", type=int, help="1 to 50; what the model is made for without")
        parser.add_argument("--sampler", choices=SAMPLERS, default=SAMPLER)
        parser.add_argument("--guidance", type=float, help="for Z-Image base; Turbo renders with 0")
        parser.add_argument("--negative", default="", help="has an effect only with guidance")
        parser.add_argument("--image", type=Path, help="a picture to start from")
        parser.add_argument("--mask", type=Path, help="what of it to paint anew: white")
        parser.add_argument("--strength", type=float, default=STRENGTH, help="how far it may leave the picture: to 1")
        parser.add_argument("--control", type=Path, help="a control map; for canny any picture")
        parser.add_argument("--control-kind", choices=list(ControlKind), default=ControlKind.CANNY)
        parser.add_argument("--control-scale", type=float, default=CONTROL_SCALE)
        parser.add_argument("--controlnet", type=Path, help="the ControlNet's file")
        parser.add_argument("--lora", action="append", default=[], metavar="FILE[:WEIGHT]")
        parser.add_argument("--model", type=Path, help="a folder in diffusers layout; the active model without")
        parser.add_argument("--device", default=settings.MODEL_DEVICE)
        parser.add_argument("--precision", choices=("auto", *PRECISIONS), default=settings.MODEL_PRECISION)
        parser.add_argument("--json", action="store_true", help="print recipe and timings as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Load, render, write, say so."""
        try:
            files = _files(options["model"]) if options["model"] else _active()
            spec, source, mask = _spec(options, files)
            engine = replace(models.options(), device=options["device"], precision=options["precision"])
            report = self._render(files, engine, spec, options["out"], source, mask)
        except StudioError as error:
            raise CommandError(f"{error} {error.hint}".strip()) from error
        except OSError as error:
            raise CommandError(f"{error.filename or options['out']}: {error.strerror or error}") from error
        if options["json"]:
            self.stdout.write(json.dumps(report, ensure_ascii=False, indent=2))
        else:
            timings = ", ".join(f"{name} {_total(ms):.0f} ms" for name, ms in report["timings"].items())
            self.stdout.write(f"{options['out']}: {spec.width} × {spec.height} px, seed {spec.seed}; {timings}")

    def _render(
        self, files: ModelFiles, engine: EngineOptions, spec: RenderSpec, out: Path,
        source: placing.Picture | None, mask: placing.Picture | None,
    ) -> dict[str, Any]:
        clock = time.perf_counter()
        renderer: Engine = import_string(settings.RENDERER)(files, engine)
        loaded = time.perf_counter()
        rendered = renderer.render(spec, self._step)
        ended = time.perf_counter()
        if spec.image is None and spec.control is None:
            image = imaging.fit(rendered.image, spec.width, spec.height)
        else:
            image = placing.unplace(rendered.image, spec.width, spec.height)
        if source and mask:
            image = placing.keep(image, source, mask)
        data = imaging.encode_png(
            image, xmp=labels.xmp_packet(producer=settings.AI_LABEL_PRODUCER, produce_id=str(uuid4())))
        encoded = time.perf_counter()
        out.write_bytes(data)
        return {
            "prompt": spec.prompt, "prompt_tokens": rendered.prompt_tokens, "truncated": rendered.truncated,
            "task": spec.task, "seed": spec.seed, "sampler": spec.sampler, "steps": spec.steps,
            "run_steps": spec.run_steps, "guidance": spec.guidance, "negative": spec.negative,
            "width": spec.width, "height": spec.height,
            "render_width": spec.render_width, "render_height": spec.render_height,
            "loras": [{"name": lora.weights.name, "weight": lora.weight} for lora in spec.loras],
            "control": {"kind": spec.control.kind, "scale": spec.control.scale} if spec.control else None,
            "pixels": sha256(rendered.image.tobytes()).hexdigest(), "sha256": sha256(data).hexdigest(),
            **renderer.provenance, "levers": renderer.report(),
            "timings": {"load": _ms(loaded - clock), **rendered.timings, "render": _ms(ended - loaded),
                        "encode": _ms(encoded - ended)},
        }

    def _step(self, step: Step) -> None:
        self.stderr.write(f"step {step.index} of {step.total}", ending="\r" if step.index < step.total else "\n")


def _files(folder: Path) -> ModelFiles:
    card = checkpoint.verify(folder)
    return ModelFiles(card, checkpoint.checksum(folder, settings.VAR_DIR / "checksums.json"), folder)


def _active() -> ModelFiles:
    try:
        return models.checked(models.chosen())
    except DatabaseError:  # none was made yet: there is no registry to look into
        return _files(settings.MODEL_DIR)


def _spec(
    options: dict[str, Any], files: ModelFiles
) -> tuple[RenderSpec, placing.Picture | None, placing.Picture | None]:
    """The engine's input, and for repainting the picture and its mask at the delivered size.

    Raises StudioError for what can't be used, OSError for a file that can't be read.
    """
    card, width, height = files.card, options["width"], options["height"]
    request = RenderRequest(
        prompt_zh="", prompt_en=options["prompt"], targets=(Target("", width, height),), count=1,
        seed=randbelow(MAX_SEED + 1) if options["seed"] is None else options["seed"],
        steps=card.steps if options["steps"] is None else options["steps"], sampler=options["sampler"],
        guidance=card.guidance if options["guidance"] is None else options["guidance"], negative=options["negative"])
    if options["mask"] and not options["image"]:
        raise CommandError("--mask needs the --image that it belongs to.")
    if options["control"] and not options["controlnet"]:
        raise CommandError("--control needs the file of a ControlNet: --controlnet FILE.")
    led = bool(options["image"] or options["control"])
    sizes = (width, height, *card.render_size(width, height, from_picture=led))
    source = placing.read(options["image"].read_bytes()) if options["image"] else None
    mask = None
    if options["mask"] and source:
        drawn = placing.as_mask(placing.read(options["mask"].read_bytes(), mask=True), source.size)
        mask = placing.cover(drawn, width, height)
    spec = RenderSpec(
        request.prompt, request.seed, *sizes, steps=request.steps, sampler=request.sampler,
        guidance=request.guidance, negative=request.negative, strength=options["strength"] if source else 1.0,
        image=placing.place(source, *sizes) if source else None, mask=placing.place(mask, *sizes) if mask else None,
        loras=tuple(_lora(text) for text in options["lora"]), control=_control(options, sizes))
    return spec, placing.cover(source, width, height) if source else None, mask


def _control(options: dict[str, Any], sizes: tuple[int, int, int, int]) -> Control | None:
    if not options["control"]:
        return None
    path, kind = options["controlnet"], ControlKind(options["control_kind"])
    drawn = placing.place(placing.read(options["control"].read_bytes()), *sizes)
    return Control(
        Weights(path.stem, path), kind, edges.canny(drawn) if kind == ControlKind.CANNY else drawn,
        options["control_scale"])


def _lora(text: str) -> Lora:
    path, colon, weight = text.rpartition(":")
    try:
        return Lora(Weights(Path(path).stem, Path(path)), float(weight)) if colon else Lora(
            Weights(Path(text).stem, Path(text)))
    except ValueError:  # a path with a colon
        return Lora(Weights(Path(text).stem, Path(text)))


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _total(ms: float | list[float]) -> float:
    return sum(ms) if isinstance(ms, list) else ms
