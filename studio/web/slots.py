"""The composer's places for pictures: what lies in them, and what is put there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.http import QueryDict
from django.utils.translation import gettext

from studio.domain.errors import Invalid
from studio.domain.guides import InputRole
from studio.domain.i18n import gettext_noop as _
from studio.models import Asset, Campaign, RenderInput
from studio.placing import MAX_BYTES
from studio.services import inputs
from studio.web.http import StudioRequest
from studio.web.texts import error_text

#: Slot -> what its pictures are for. The file of a slot is posted as `<slot>_file`.
ROLES = {"source": InputRole.IMAGE, "mask": InputRole.MASK, "control": InputRole.CONTROL}
NO_FILE = _("Choose a file first.")


@dataclass(frozen=True, slots=True)
class Slot:
    """One place: an uploaded picture, a finished one that is taken over when the form is sent, or nothing."""

    name: str
    row: RenderInput | None = None
    asset: Asset | None = None
    errors: list[str] = field(default_factory=list)

    @property
    def shown(self) -> RenderInput | Asset | None:
        """What lies there; it has `width` and `height`."""
        return self.row or self.asset


def keep(request: StudioRequest, campaign: Campaign, slot: str) -> RenderInput:
    """Keep the file that was posted for `slot`. Raises Invalid, Forbidden, StorageError."""
    upload = request.FILES.get(f"{slot}_file")
    if upload is None:
        raise Invalid(NO_FILE, field=slot)
    return inputs.add(  # one byte more than is taken tells that it is too much
        user=request.user, campaign=campaign, role=ROLES[slot], data=upload.read(MAX_BYTES + 1), field=slot)


def posted(request: StudioRequest, campaign: Campaign) -> tuple[QueryDict, dict[str, str]]:
    """The composer's fields with its files kept and named by their ids, and why a slot could not be filled."""
    data, errors = request.POST.copy(), {}
    for slot in set(data.getlist("remove")) & ROLES.keys():
        data[slot] = ""
        data[f"{slot}_asset"] = ""
    task = data.get("task", "")
    wanted = {"source": task in ("image", "inpaint"), "mask": task == "inpaint", "control": data.get("control_kind")}
    for slot in ROLES:
        try:
            if wanted[slot] and f"{slot}_file" in request.FILES:
                row: RenderInput | None = keep(request, campaign, slot)
            elif slot == "source" and wanted[slot] and data.get("source_asset"):
                row = _take_over(request, campaign, str(data["source_asset"]))
            else:
                row = None
        except Invalid as error:
            errors[slot] = error_text(error)
            continue
        if row:
            if slot == "source" and data.get("source") and data["source"] != str(row.pk):
                data["mask"] = ""  # it was painted on another picture
            data[slot] = str(row.pk)
    return data, errors


def _take_over(request: StudioRequest, campaign: Campaign, text: str) -> RenderInput:
    asset = finished(request, campaign, text)
    if asset is None:
        raise Invalid(inputs.UNKNOWN, field="source")
    return inputs.add_asset(user=request.user, campaign=campaign, asset=asset)


def finished(request: StudioRequest, campaign: Campaign, text: str) -> Asset | None:
    """The finished picture of the campaign's team with this id."""
    if not (text.isdecimal() and len(text) < 18):
        return None
    visible = Asset.objects.visible_to(request.user).select_related("job__batch")
    return visible.filter(campaign__team=campaign.team_id, pk=text).first()


def filled(campaign: Campaign, values: Mapping[str, Any], errors: Mapping[str, Any], asset: Asset | None,
           ) -> dict[str, Slot]:
    """Each slot as the form has it: `values` are ids or texts of ids."""
    ids = {slot: pk for slot in ROLES if (pk := _id(values.get(slot)))}
    rows = {row.pk: row for row in RenderInput.objects.filter(campaign=campaign, pk__in=ids.values())} if ids else {}
    found = {}
    for slot, role in ROLES.items():
        row = rows.get(ids[slot]) if slot in ids else None
        found[slot] = Slot(slot, row if row and row.role == role else None, errors=list(errors.get(slot, [])))
    if asset and not found["source"].row:
        found["source"] = Slot("source", asset=asset, errors=found["source"].errors)
    return found


def _id(value: object) -> UUID | None:
    try:
        return UUID(str(value)) if value else None
    except ValueError:
        return None


def missing(slot: str) -> str:
    """What to do about an empty slot that is needed."""
    return {"source": gettext("Choose the picture to start from."),
            "mask": gettext("Paint over the part to change, or upload a mask."),
            "control": gettext("Choose the picture for the guide.")}[slot]
