"""The formats that all teams deliver in: seen by every admin, changed by admins of every team."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, resolve_url
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_safe

from studio import permissions
from studio.domain.errors import Conflict, Invalid
from studio.models import AdFormat
from studio.services import formats
from studio.services.formats import Rules
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.texts import error_text
from studio.web.views.admin import administered, administered_team

#: What a platform asks for changes: after so many days somebody should look again.
STALE = timedelta(days=180)
_WHOLE = ("width", "height", "max_bytes")
_TEXTS = ("platform", "name_zh", "name_en", "label_rule", "note", "file_type")


@require_safe
@signed_in
def listing(request: StudioRequest) -> HttpResponse:
    """All formats by platform."""
    return page(request, "studio/admin_formats.html", {
        **_shared(request), "presets": AdFormat.objects.order_by("position", "key"),
        "stale": timezone.localdate() - STALE})


def _shared(request: StudioRequest) -> dict[str, Any]:
    team = administered_team(request)
    return {"nav": "admin", "tab": "formats", "teams": administered(request), "team": team,
            "may_change": permissions.decide_for_all(request.user, "format.manage")}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new(request: StudioRequest) -> HttpResponse:
    """A format of one's own."""
    shared = _shared(request)
    permissions.require_for_all(request.user, "format.manage")
    if request.method != "POST":
        return _form(request, shared, None, _typed(QueryDict()) | {"file_type": "jpeg", "active": True})
    typed = _typed(request.POST)
    try:
        made = formats.create(user=request.user, key=typed["key"], rules=_rules(typed))
    except (Invalid, Conflict) as error:
        return _form(request, shared, None, typed, refused=error_text(error), status=error.status)
    say(request, gettext("The format is on the list."))
    return HttpResponseRedirect(resolve_url("admin-format", made.pk))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def preset(request: StudioRequest, key: str) -> HttpResponse:
    """One format; a post changes it."""
    shared = _shared(request)
    found = get_object_or_404(AdFormat, pk=key)
    if request.method != "POST":
        return _form(request, shared, found, _stored(found))
    typed = _typed(request.POST)
    try:
        formats.change(user=request.user, preset=found, rules=_rules(typed))
    except Invalid as error:
        return _form(request, shared, found, typed, refused=error_text(error), status=error.status)
    say(request, gettext("The format is saved."))
    return HttpResponseRedirect(resolve_url("admin-formats"))


def _form(
    request: StudioRequest, shared: dict[str, Any], found: AdFormat | None, typed: dict[str, Any], *,
    refused: str = "", status: int = 200,
) -> HttpResponse:
    return page(request, "studio/admin_format.html", {
        **shared, "preset": found, "typed": typed, "refused": refused, "types": AdFormat.FileType.choices,
        "zones": found.safe_zones if found else []}, status=status)


def _stored(found: AdFormat) -> dict[str, Any]:
    return {name: getattr(found, name) for name in (*_TEXTS, *_WHOLE, "white_background", "active")} | {
        "key": found.pk, "checked_on": found.checked_on.isoformat(), "safe_zones": "\n".join(
            f"{zone['kind']} {zone['x']:.4g} {zone['y']:.4g} {zone['w']:.4g} {zone['h']:.4g} | {zone['note_zh']} | "
            f"{zone['note_en']}" for zone in found.safe_zones)}


def _typed(data: QueryDict) -> dict[str, Any]:
    found: dict[str, Any] = {name: data.get(name, "").replace("\0", "").strip()[:200] for name in (
        "key", *_TEXTS, *_WHOLE, "checked_on")}
    return found | {"safe_zones": data.get("safe_zones", "").replace("\0", "")[:4000],
                    "white_background": bool(data.get("white_background")), "active": bool(data.get("active"))}


def _rules(typed: dict[str, Any]) -> Rules:
    """What was typed. Raises Invalid."""
    whole: dict[str, Any] = {}
    for name in _WHOLE:
        text = typed[name] or ("0" if name == "max_bytes" else "")
        whole[name] = int(text) if text.isdecimal() and len(text) < 11 else -1
    try:
        checked = parse_date(typed["checked_on"]) if typed["checked_on"] else timezone.localdate()
    except ValueError:
        checked = None
    if checked is None or checked > timezone.localdate():
        raise Invalid(gettext("Write the day it was checked as year-month-day, not after today."), field="checked_on")
    return Rules(
        **whole, **{name: typed[name][:80 if name.startswith("name") else 40 if name == "platform" else 200]
                    for name in _TEXTS},
        white_background=typed["white_background"], active=typed["active"], checked_on=checked,
        safe_zones=tuple(_zone(line) for line in typed["safe_zones"].splitlines() if line.strip()))


def _zone(line: str) -> dict[str, Any]:
    """`text 0 0 0.88 0.83 | Chinese | English`. Raises Invalid."""
    place, *notes = (part.strip() for part in line.split("|"))
    try:
        kind, *numbers = place.split()
        x, y, w, h = (float(number) for number in numbers)
    except ValueError:
        kind, x, y, w, h = "", math.nan, 0.0, 0.0, 0.0
    if not all(map(math.isfinite, (x, y, w, h))):
        raise Invalid(gettext("Write a zone as: text 0 0 0.88 0.83 | Chinese | English."), field="safe_zones")
    zh, en = (*notes, "", "")[:2]
    return {"kind": kind, "x": x, "y": y, "w": w, "h": h, "note_zh": zh[:80], "note_en": (en or zh)[:80]}
