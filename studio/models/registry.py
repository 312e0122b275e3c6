"""The models the studio knows: checkpoints, LoRAs, ControlNets; and how good a faster precision was found to be."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from django.db import models
from django.db.models import Q

from studio.domain.engine import GATED, PRECISIONS
from studio.domain.modelcard import FAMILIES
from studio.models.base import choices, one_of

_HEX = r"^[0-9a-f]{64}$"


class ModelKind(StrEnum):
    """What the files are."""

    CHECKPOINT = "checkpoint"
    LORA = "lora"
    CONTROLNET = "controlnet"


class ModelLayout(StrEnum):
    """A folder in diffusers layout, or single files."""

    FOLDER = "folder"
    FILES = "files"


class ModelState(StrEnum):
    """What the last check found."""

    OK = "ok"
    BROKEN = "broken"


class ModelEntryQuerySet(models.QuerySet["ModelEntry"]):
    """Which models can be used."""

    def usable(self, kind: ModelKind) -> Self:
        """Of that kind and whole when last checked, by name."""
        return self.filter(kind=kind, state=ModelState.OK).order_by("name")


class ModelEntry(models.Model):
    """A model on disk.

    `paths` names its parts: `folder`; or `transformer`, `text_encoder`, `vae`, `tokenizer`, `config`; or
    `file` for what adds to a checkpoint. `card` holds the fields of a checkpoint's ModelCard, `details` what
    was found in a LoRA or ControlNet. `problem` is a message with its parameters, translated when shown.
    `check_asked_at`: somebody asked for a check, and no worker has made it yet.
    """

    name = models.CharField(max_length=60, unique=True)
    kind = models.CharField(max_length=10, choices=choices(ModelKind))
    layout = models.CharField(max_length=6, choices=choices(ModelLayout))
    paths = models.JSONField()
    family = models.CharField(max_length=5, blank=True)
    card = models.JSONField(default=dict)
    details = models.JSONField(default=dict)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    precision = models.CharField(max_length=6, blank=True)
    active = models.BooleanField(default=False)
    state = models.CharField(max_length=6, choices=choices(ModelState), default=ModelState.OK)
    problem = models.JSONField(null=True)
    added_at = models.DateTimeField(auto_now_add=True)
    verified_at = models.DateTimeField()
    check_asked_at = models.DateTimeField(null=True)

    objects = ModelEntryQuerySet.as_manager()

    class Meta:
        ordering = ["kind", "name"]
        constraints = [
            models.CheckConstraint(condition=Q(name__regex=r"^[a-z0-9][a-z0-9_-]*$"), name="model_name_is_plain"),
            one_of("kind", ModelKind, "model_kind_is_known"),
            one_of("layout", ModelLayout, "model_layout_is_known"),
            one_of("state", ModelState, "model_state_is_known"),
            models.CheckConstraint(
                condition=Q(kind=ModelKind.CHECKPOINT, family__in=FAMILIES)
                | ~Q(kind=ModelKind.CHECKPOINT) & Q(family="", layout=ModelLayout.FILES),
                name="model_family_iff_checkpoint"),
            models.CheckConstraint(condition=Q(sha256__regex=_HEX), name="model_sha256_is_hex"),
            models.CheckConstraint(
                condition=Q(precision="") | Q(kind=ModelKind.CHECKPOINT, precision__in=PRECISIONS),
                name="model_precision_is_known"),
            models.CheckConstraint(
                condition=Q(active=False) | Q(kind=ModelKind.CHECKPOINT), name="model_active_is_a_checkpoint"),
            models.UniqueConstraint(fields=["active"], condition=Q(active=True), name="model_one_active"),
            models.CheckConstraint(
                condition=Q(state=ModelState.OK, problem__isnull=True)
                | Q(state=ModelState.BROKEN, problem__isnull=False),
                name="model_problem_iff_broken"),
        ]

    def __str__(self) -> str:
        return self.name


class QualityReport(models.Model):
    """How far pictures in a faster precision were from bf16's, for these very files.

    `psnr` in dB (100 for equal pictures) and `ssim` are means over the pictures compared; `sheet_key` is a
    picture in the storage with both side by side.
    """

    entry = models.ForeignKey(ModelEntry, models.CASCADE, related_name="reports")
    precision = models.CharField(max_length=6)
    checksum = models.CharField(max_length=64)
    psnr = models.FloatField()
    ssim = models.FloatField()
    passed = models.BooleanField()
    sheet_key = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(condition=Q(precision__in=sorted(GATED)), name="report_precision_is_gated"),
            models.CheckConstraint(condition=Q(checksum__regex=_HEX), name="report_checksum_is_hex"),
            models.CheckConstraint(condition=Q(psnr__range=(0, 100)), name="report_psnr_in_range"),
            models.CheckConstraint(condition=Q(ssim__range=(-1, 1)), name="report_ssim_in_range"),
        ]

    def __str__(self) -> str:
        return f"{self.entry} {self.precision} {self.psnr:.1f} dB"
