"""`{% load studio_words %}`: dates, spans of time, roles and platforms in words."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, ngettext, pgettext, pgettext_lazy

from studio.domain.roles import ROLE_LABELS, Role

register = template.Library()

#: Kinds of guides by their values in studio.domain.guides.
KINDS: dict[str, Promise] = {
    "canny": gettext_lazy("Canny edges"), "depth": gettext_lazy("Depth map"), "pose": gettext_lazy("Pose map"),
    "hed": gettext_lazy("HED map"), "mlsd": gettext_lazy("MLSD map")}

#: Kinds of a template's variables by their values in studio.domain.variables.
VARIABLE_KINDS: dict[str, Promise] = {
    "text": gettext_lazy("Text"), "choice": gettext_lazy("Choice"), "colour": gettext_lazy("Colour"),
    "number": gettext_lazy("Number"), "product": gettext_lazy("Product"), "picture": gettext_lazy("Picture")}

#: Platforms of studio/data/formats.csv whose names differ between the languages.
PLATFORMS: dict[str, Promise] = {
    "Taobao/Tmall": pgettext_lazy("platform", "Taobao/Tmall"),
    "JD": pgettext_lazy("platform", "JD"),
    "Xiaohongshu": pgettext_lazy("platform", "Xiaohongshu (RED)"),
    "Douyin": pgettext_lazy("platform", "Douyin"),
    "WeChat": pgettext_lazy("platform", "WeChat"),
    "Weibo": pgettext_lazy("platform", "Weibo"),
    "Google Ads": pgettext_lazy("platform", "Google Ads"),
    "Amazon": pgettext_lazy("platform", "Amazon"),
}


@register.filter
def day(value: date | datetime) -> str:
    """"22 Nov"; with its year when that is another one."""
    if isinstance(value, datetime):
        value = timezone.localdate(value)
    here = value.year == timezone.localdate().year
    return date_format(value, pgettext("date format", "j M") if here else pgettext("date format", "j M Y"))


@register.filter
def month(value: date) -> str:
    """"November 2026"."""
    return date_format(value, pgettext("date format", "F Y"))


@register.filter
def span(since: datetime) -> str:
    """How long ago something was, as a length of time: "8 min", "3 h", "2 days"."""
    minutes = max(0, int((timezone.now() - since).total_seconds() // 60))
    if minutes < 60:
        return gettext("%(minutes)d min") % {"minutes": max(1, minutes)}
    if minutes < 24 * 60:
        return gettext("%(hours)d h") % {"hours": minutes // 60}
    days = minutes // (24 * 60)
    return ngettext("%(days)d day", "%(days)d days", days) % {"days": days}


@register.filter
def ago(since: datetime) -> str:
    """"just now", "8 min ago", "2 days ago"; after a week the day itself."""
    seconds = (timezone.now() - since).total_seconds()
    if seconds < 60:
        return gettext("just now")
    return day(since) if seconds >= 7 * 86400 else gettext("%(span)s ago") % {"span": span(since)}


@register.filter
def pulse(seconds: float) -> str:
    """How long ago a worker was heard of: "3 s ago", then as `ago`."""
    if seconds < 60:
        return gettext("%(n)s s ago") % {"n": int(seconds)}
    return ago(timezone.now() - timedelta(seconds=seconds))


@register.filter
def worktime(milliseconds: float) -> str:
    """A sum of work, no more exact than it is: "12 s", "25 min", "31 h"."""
    seconds = milliseconds / 1000
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return gettext("%(minutes)d min") % {"minutes": round(seconds / 60)}
    return gettext("%(hours)d h") % {"hours": round(seconds / 3600)}


@register.filter
def rolename(role: str) -> str:
    """The word for a role."""
    return gettext(ROLE_LABELS[Role(role)])


@register.filter
def platformname(name: str) -> str:
    """A platform's name in the page's language."""
    return str(PLATFORMS.get(name, name))


@register.filter
def kindname(kind: str) -> str:
    """What a kind of guide is called."""
    return str(KINDS.get(kind, kind))
