"""The composer's fields about what a picture starts from or is led by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from studio.domain.errors import Invalid
from studio.domain.guides import (
    CONTROL_SCALE,
    LORA_WEIGHT,
    STRENGTH,
    ControlKind,
    ControlRequest,
    LoraRequest,
    StartRequest,
    Task,
)
from studio.models import RenderBatch
from studio.services import guides
from studio.templatetags.studio_words import KINDS
from studio.web.slots import missing

#: Names that a form may post; more are no LoRAs.
_MOST_LORAS = 100
_GONE = {"invalid": _("This picture is no longer here. Upload it again.")}


@dataclass(frozen=True, slots=True)
class LoraRow:
    """One installed LoRA in the form; `weight` as it was typed."""

    name: str
    chosen: bool
    weight: object


class GuideFields(forms.Form):
    """Start picture, mask, strength, control map, LoRAs, negative prompt, guidance."""

    task = forms.ChoiceField(required=False, choices=[(task.value, task.value) for task in Task], error_messages={
        "invalid_choice": _("Choose what to start from.")})
    source = forms.UUIDField(required=False, error_messages=_GONE)
    mask = forms.UUIDField(required=False, error_messages=_GONE)
    strength = forms.FloatField(
        required=False, error_messages={"invalid": _("Write the strength as a number from 0.01 to 1.")})
    control_kind = forms.ChoiceField(
        required=False, choices=[(kind.value, kind.value) for kind in ControlKind], error_messages={
            "invalid_choice": _("There is no guide of the kind “%(value)s”.")})
    control = forms.UUIDField(required=False, error_messages=_GONE)
    control_scale = forms.FloatField(
        required=False, error_messages={"invalid": _("Write the guide's scale as a number.")})
    negative = forms.CharField(required=False, strip=False, widget=forms.Textarea)
    guidance = forms.FloatField(required=False, error_messages={"invalid": _("Write the guidance as a number.")})
    loras = forms.Field(required=False)  # a place for errors; the names come as `lora`, several

    def __init__(self, *args: Any, upload_errors: dict[str, str] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._upload_errors = upload_errors or {}

    def clean(self) -> dict[str, Any]:
        """Say why a picture was not taken."""
        for slot, text in self._upload_errors.items():
            self.errors.pop(slot, None)
            self.add_error(slot, text)
        return self.cleaned_data

    def start(self) -> StartRequest | None:
        """What to start from. Raises Invalid."""
        data = self.cleaned_data
        task = data["task"] or Task.TEXT
        if task == Task.TEXT:
            return None
        if not data["source"]:
            raise Invalid(missing("source"), field="source")
        if task == Task.INPAINT and not data["mask"]:
            raise Invalid(missing("mask"), field="mask")
        return StartRequest(
            data["source"], data["mask"] if task == Task.INPAINT else None,
            STRENGTH if data["strength"] is None else data["strength"])

    def led_by(self) -> ControlRequest | None:
        """The control map. Raises Invalid."""
        data = self.cleaned_data
        if not data["control_kind"]:
            return None
        if not guides.control_available():
            raise Invalid(guides.NO_CONTROL, field="control_kind")
        if not data["control"]:
            raise Invalid(missing("control"), field="control")
        scale = CONTROL_SCALE if data["control_scale"] is None else data["control_scale"]
        return ControlRequest(ControlKind(data["control_kind"]), data["control"], scale)

    def lora_requests(self) -> tuple[LoraRequest, ...]:
        """The chosen LoRAs. Raises Invalid."""
        found = []
        for name in dict.fromkeys(self._names()):
            text = str(self.data.get(f"lora_weight_{name}", "")).strip()
            try:
                weight = float(text) if text else LORA_WEIGHT
            except ValueError:
                weight = math.nan
            found.append(LoraRequest(name, weight))
        return tuple(found)

    def _names(self) -> list[str]:
        names: list[str] = self.data.getlist("lora") if hasattr(self.data, "getlist") else []
        return names[:_MOST_LORAS]

    def lora_rows(self) -> list[LoraRow]:
        """Every installed LoRA as the form shows it."""
        before = {entry["name"]: entry["weight"] for entry in self.initial.get("loras") or []}
        chosen = set(self._names()) if self.is_bound else before.keys()
        return [LoraRow(name, name in chosen, self.data.get(f"lora_weight_{name}", LORA_WEIGHT)
                        if self.is_bound else before.get(name, LORA_WEIGHT)) for name in guides.lora_names()]

    def task_name(self) -> str:
        """The task that the form shows as chosen."""
        found = self["task"].value()
        return found if found in set(Task) else Task.TEXT.value

    def guide_summary(self) -> str:
        """What the closed drawer says of guides and LoRAs."""
        kind = str(self["control_kind"].value() or "")
        named = [KINDS[kind]] if kind in KINDS else []
        parts = [str(part) for part in named] + [row.name for row in self.lora_rows() if row.chosen]
        return " · ".join(parts) or gettext("none")


def from_batch(batch: RenderBatch, *, inputs: bool) -> dict[str, Any]:
    """Initial values from an earlier batch; its pictures only with `inputs`."""
    initial: dict[str, Any] = {
        "negative": batch.negative, "guidance": batch.guidance, "loras": batch.loras, "task": Task.TEXT.value}
    if inputs:
        initial |= {"task": batch.task.value, "source": batch.source_id, "mask": batch.mask_id,
                    "control": batch.control_input_id, "control_kind": batch.control_kind}
        if batch.source_id:
            initial["strength"] = batch.strength
        if batch.control_scale is not None:
            initial["control_scale"] = batch.control_scale
    return initial
