"""`{% icon %}`: a Lucide icon from static/icons, inlined so that it takes the text's colour."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from django import template
from django.contrib.staticfiles import finders
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SHAPES = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


@lru_cache(maxsize=256)
def shapes(name: str) -> SafeString:
    """The inner elements of one icon. Raises LookupError for a name without a file."""
    found = finders.find(f"icons/{name}.svg") if _NAME.fullmatch(name) else None
    if found is None:
        raise LookupError(f"no icon {name!r} in static/icons")
    match = _SHAPES.search(Path(found).read_text(encoding="utf-8"))
    if match is None:
        raise LookupError(f"static/icons/{name}.svg holds no <svg> element")
    return mark_safe(" ".join(match[1].split()))  # a file of the project, not of a person


@register.simple_tag
def icon(name: str, css: str = "", *, label: str = "") -> SafeString:
    """Inline an icon. Decoration by default; with `label` it is an image with that name.

    `css` adds classes: "sm" 14 px, "lg" 20 px, nothing 16 px.
    """
    classes = f"i {css}".rstrip()
    if not label:
        return format_html(
            '<svg class="{}" viewBox="0 0 24 24" aria-hidden="true">{}</svg>', classes, shapes(name))
    return format_html(
        '<svg class="{}" viewBox="0 0 24 24" role="img"><title>{}</title>{}</svg>', classes, label, shapes(name))
