"""`{% load studio_text %}`: text that people wrote, moments, and numbers of a recipe."""

from __future__ import annotations

from datetime import date, datetime

from django import template
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from studio.templatetags.studio_words import day

register = template.Library()


@register.filter
def textlang(text: str) -> str:
    """The language tag of a text a person wrote: Chinese if it holds a Chinese character, else English."""
    return "zh-CN" if any("\u3400" <= letter <= "\u9fff" for letter in text) else "en"


@register.simple_tag
def moment(value: datetime) -> SafeString:
    """A point in time that stays true however long the page is open: "today 10:42", "22 Nov 10:42"."""
    local = timezone.localtime(value)
    clock = date_format(local, "H:i")
    shown = (gettext("today %(time)s") % {"time": clock} if local.date() == timezone.localdate()
             else f"{day(local)} {clock}")
    return format_html('<time datetime="{}">{}</time>', local.isoformat(timespec="seconds"), shown)


@register.filter
def milliseconds(value: float) -> str:
    """"0.4", "24", "1,202": one decimal below ten."""
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


@register.filter
def dayname(value: date) -> str:
    """"Today", "Yesterday", else the day."""
    passed = (timezone.localdate() - value).days
    return {0: gettext("Today"), 1: gettext("Yesterday")}.get(passed) or day(value)
