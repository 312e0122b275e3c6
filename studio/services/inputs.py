"""Pictures to start a render from: taken in, taken over from a finished picture, swept when nobody uses them."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from itertools import islice
from uuid import UUID

import structlog
from django.db import transaction
from django.utils import timezone

from studio import permissions, placing, storage
from studio.domain.errors import Invalid
from studio.domain.guides import InputRole
from studio.domain.i18n import gettext_noop as _
from studio.domain.spec import RenderRequest
from studio.models import Asset, Campaign, RenderBatch, RenderInput, Team, User
from studio.models.inputs import RenderInputQuerySet

log = structlog.get_logger(__name__)

#: What no render used goes after this long.
UNUSED = timedelta(days=1)
_SWEPT_AT_ONCE = 500

EMPTY_MASK = _("The mask is all black: nothing would be painted. White is what is painted anew.")
UNKNOWN = _("This picture is no longer here. Upload it again.")


def add(*, user: User, campaign: Campaign, role: InputRole, data: bytes, field: str = "file") -> RenderInput:
    """Check an uploaded file by decoding it, and keep its pixels for this campaign.

    The same pixels for the same use are the same row. Raises Invalid (with `field`), Forbidden, or
    StorageError; then nothing was kept.
    """
    permissions.require(user, "render.create", campaign)
    image = placing.read(data, mask=role == InputRole.MASK, field=field)
    if role == InputRole.MASK and not placing.is_painted(image):
        raise Invalid(EMPTY_MASK, field=field)
    png = placing.encode(image)
    digest = sha256(png).hexdigest()
    key = storage.put(storage.input_key(campaign.team_id, digest), png, "image/png")
    with transaction.atomic(durable=True):
        # The sweep holds the same lock while it removes a file: see _remove_file.
        Team.objects.select_for_update().get(pk=campaign.team_id)
        row, made = RenderInput.objects.get_or_create(
            campaign=campaign, role=role, sha256=digest, defaults={
                "team_id": campaign.team_id, "uploaded_by": user, "file_key": key, "width": image.width,
                "height": image.height, "size_bytes": len(png), "used_at": timezone.now()})
        if not made:
            RenderInput.objects.filter(pk=row.pk).update(used_at=timezone.now())
        if not storage.exists(key):
            storage.put(key, png, "image/png")
    return row


def add_asset(*, user: User, campaign: Campaign, asset: Asset) -> RenderInput:
    """Take a finished picture of the campaign over as one to start from. Raises as `add` and `storage.open_file`."""
    with storage.open_file(asset.file_key) as file:
        data = file.read()
    return add(user=user, campaign=campaign, role=InputRole.IMAGE, data=data, field="source")


def chosen(*, campaign: Campaign, request: RenderRequest) -> dict[str, RenderInput | None]:
    """The rows that `request` names: `source`, `mask`, `control_input`. For use inside a transaction.

    From here on the sweep leaves them alone. Raises Invalid, naming the field, for what is not of
    this campaign or was uploaded for something else.
    """
    start, control = request.start, request.control
    return {
        "source": _take(campaign, start.image if start else None, InputRole.IMAGE, "source"),
        "mask": _take(campaign, start.mask if start else None, InputRole.MASK, "mask"),
        "control_input": _take(campaign, control.image if control else None, InputRole.CONTROL, "control")}


def _take(campaign: Campaign, pk: UUID | None, role: InputRole, field: str) -> RenderInput | None:
    if pk is None:
        return None
    # The update locks the row until the batch that needs it is committed.
    if not RenderInput.objects.filter(pk=pk, campaign=campaign, role=role).update(used_at=timezone.now()):
        raise Invalid(UNKNOWN, field=field)
    return RenderInput.objects.get(pk=pk)


def read(row: RenderInput) -> bytes:
    """The stored PNG. Raises FileMissing, or StorageError when the storage is away."""
    with storage.open_file(row.file_key) as file:
        data: bytes = file.read()
    return data


def sweep() -> int:
    """Delete the rows that no render used for a day, and the files that no row names. Returns how many files went."""
    limit = timezone.now() - UNUSED
    for pk in list(_unused().filter(used_at__lt=limit).values_list("pk", flat=True)):
        with transaction.atomic(durable=True):
            # Whoever renders with it sets `used_at` first, under the same lock.
            row = RenderInput.objects.select_for_update().filter(pk=pk, used_at__lt=limit).first()
            if row and _unused().filter(pk=pk).exists():
                row.delete()
    removed = 0
    old = (key for key, changed in storage.list_keys("inputs") if changed <= limit)
    while keys := list(islice(old, _SWEPT_AT_ONCE)):
        named = set(RenderInput.objects.filter(file_key__in=keys).values_list("file_key", flat=True))
        removed += sum(_remove_file(key) for key in keys if key not in named)
    if removed:
        log.info("inputs.swept", removed=removed)
    return removed


def _unused() -> RenderInputQuerySet:
    found = RenderInput.objects.all()
    for column in ("source", "mask", "control_input"):
        used = RenderBatch.objects.filter(**{f"{column}__isnull": False})
        found = found.exclude(pk__in=used.values(column))
    return found


def _remove_file(key: str) -> bool:
    """Delete the file unless somebody has brought the same picture again."""
    team = key.split("/")[1]
    with transaction.atomic(durable=True):
        if team.isdecimal():
            Team.objects.select_for_update().filter(pk=team).first()
        if RenderInput.objects.filter(file_key=key).exists():
            return False
        storage.delete(key)
    return True
