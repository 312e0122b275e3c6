"""Ad formats: what platforms ask for, kept up by admins of every team."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from django.db import IntegrityError, transaction

from studio import permissions
from studio.domain.errors import Conflict, Invalid
from studio.domain.formats import MAX_SIDE, MIN_SIDE
from studio.domain.i18n import gettext_noop as _
from studio.models import AdFormat, Team, User
from studio.services import activity

_KEY = re.compile(r"[a-z0-9][a-z0-9-]{1,49}")
MAX_ZONES = 12
#: What a zone says: text should stay in it, or the platform covers it.
ZONE_KINDS = ("text", "covered")
_MAX_BYTES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything about a format but its key; sizes in pixels, `max_bytes` 0 for no limit, zones as in AdFormat."""

    platform: str
    name_zh: str
    name_en: str
    width: int
    height: int
    max_bytes: int
    file_type: str
    white_background: bool
    label_rule: str
    note: str
    safe_zones: tuple[dict[str, Any], ...]
    checked_on: date
    active: bool

    def columns(self) -> dict[str, Any]:
        """The row's columns. Raises Invalid, naming the field."""
        if not (self.name_zh or self.name_en):
            raise Invalid(_("Give the format a name in Chinese, in English, or both."), field="name_zh")
        if not self.platform:
            raise Invalid(_("Name the platform."), field="platform")
        for name, side in (("width", self.width), ("height", self.height)):
            if not MIN_SIDE <= side <= MAX_SIDE:
                raise Invalid(_("A side has %(low)d to %(high)d pixels."), field=name, low=MIN_SIDE, high=MAX_SIDE)
        if max(self.width, self.height) > 16 * min(self.width, self.height):
            raise Invalid(_("This size is too narrow: one side may be at most 16 times the other."), field="width")
        if not 0 <= self.max_bytes <= _MAX_BYTES:
            raise Invalid(_("Write the most bytes as a whole number, 0 for no limit."), field="max_bytes")
        if self.file_type not in AdFormat.FileType.values:
            raise Invalid(_("Choose PNG, JPEG or WebP."), field="file_type")
        if len(self.safe_zones) > MAX_ZONES or not all(map(_right, self.safe_zones)):
            raise Invalid(
                _("A zone lies within the picture: left, top, width and height from 0 to 1, at most %(limit)d of "
                  "them."), field="safe_zones", limit=MAX_ZONES)
        return asdict(self) | {"safe_zones": list(self.safe_zones)}


def _right(zone: dict[str, Any]) -> bool:
    x, y, w, h = (zone[name] for name in "xywh")
    return zone["kind"] in ZONE_KINDS and min(x, y) >= 0 and min(w, h) > 0 and x + w <= 1.0001 and y + h <= 1.0001


def create(*, user: User, key: str, rules: Rules) -> AdFormat:
    """A format that everybody can choose. Raises Forbidden, Invalid, or Conflict when the key is taken."""
    permissions.require_for_all(user, "format.manage")
    if not _KEY.fullmatch(key):
        raise Invalid(_("A key has small letters, digits and hyphens, such as douyin-9x16."), field="key")
    columns = rules.columns()
    try:
        with transaction.atomic(durable=True):
            made = AdFormat.objects.create(key=key, confidence="M", position=1000, **columns)
            _record(user, "format.added", made)
    except IntegrityError:
        raise Conflict(_("There is a format with this key already.")) from None
    return made


def change(*, user: User, preset: AdFormat, rules: Rules) -> None:
    """Write the rules down. Pictures made before stay as they are. Raises Forbidden, Invalid."""
    permissions.require_for_all(user, "format.manage")
    columns = rules.columns()
    with transaction.atomic(durable=True):
        AdFormat.objects.filter(pk=preset.pk).update(**columns)
        _record(user, "format.changed", preset)


def _record(user: User, verb: str, preset: AdFormat) -> None:
    """In the list of every team: it holds for all."""
    for team in Team.objects.all():
        activity.record(verb=verb, actor=user, team=team, format=preset.pk)
