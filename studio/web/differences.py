"""What changed between two versions of a template, as marked words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext, gettext_lazy, pgettext_lazy

from studio.models import TemplateVersion
from studio.templatetags.studio_words import VARIABLE_KINDS

#: Latin words and runs of blanks stay whole; Chinese is compared letter by letter.
_WORD = re.compile(r"[A-Za-z0-9_{}'’-]+|\s+|.", re.DOTALL)
#: Words compared at most: a longer text counts as replaced as a whole.
_MOST_WORDS = 1500

#: What a template sets, by the names in its version.
SETTING_LABELS: dict[str, Promise] = {
    "text": gettext_lazy("Text"), "steps": gettext_lazy("Steps"), "sampler": gettext_lazy("Sampler"),
    "guidance": gettext_lazy("Guidance"), "negative": gettext_lazy("Negative prompt"),
    "formats": gettext_lazy("Formats"), "count": gettext_lazy("Each format")}
_FIELDS: dict[str, Promise] = {
    "kind": gettext_lazy("Kind"), "label": gettext_lazy("Label"), "required": gettext_lazy("Required"),
    "default": gettext_lazy("Default"), "max_length": gettext_lazy("At most (characters)"),
    "low": pgettext_lazy("lowest number", "From"), "high": pgettext_lazy("highest number", "To"),
    "options": gettext_lazy("Options")}


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text: "same", "gone" or "new"."""

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two versions say, how it is called, and how it changed."""

    name: str
    pieces: list[Piece]


def words(before: str, after: str) -> list[Piece]:
    """`before` and `after` as one text with its changes marked."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    if max(len(old), len(new)) > _MOST_WORDS:
        return [Piece("same", before)] if before == after else [Piece("gone", before), Piece("new", after)]
    found: list[Piece] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(Piece("same", "".join(old[a:b])))
            continue
        found += [Piece("gone", "".join(old[a:b]))] if b > a else []
        found += [Piece("new", "".join(new[c:d]))] if d > c else []
    return found


def between(before: TemplateVersion, after: TemplateVersion) -> list[Difference]:
    """Everything in which the two versions differ: texts by their words, variables and settings field by field."""
    found: list[Difference] = []

    def compare(name: str, old: str, new: str) -> None:
        if old != new:
            found.append(Difference(name, words(old, new)))

    compare(gettext("Chinese text"), before.text_zh, after.text_zh)
    compare(gettext("English text"), before.text_en, after.text_en)
    old, new = ({one["name"]: one for one in version.variables} for version in (before, after))
    for name in dict.fromkeys([*old, *new]):
        _fields(compare, f"{{{name}}}", _FIELDS, old.get(name, {}), new.get(name, {}))
    if list(old) != list(new):
        compare(gettext("Variables"), " ".join(f"{{{name}}}" for name in old), " ".join(f"{{{name}}}" for name in new))
    _fields(compare, gettext("Setting"), SETTING_LABELS, before.settings, after.settings)
    compare(gettext("Locked for whoever uses it"), _locks(before), _locks(after))
    return found


def _fields(
    compare: Callable[[str, str, str], None], of: str, labels: Mapping[str, Promise], old: Mapping[str, Any],
    new: Mapping[str, Any],
) -> None:
    for key, label in labels.items():
        compare(f"{of} · {label}", _said(key, old.get(key)), _said(key, new.get(key)))


def _locks(version: TemplateVersion) -> str:
    return ", ".join(str(SETTING_LABELS.get(name, name)) for name in version.locked)


def _said(key: str, found: Any) -> str:
    """A value of JSON as people read it."""
    if found is None:
        return ""
    if isinstance(found, bool):
        return gettext("yes") if found else gettext("no")
    if isinstance(found, dict):
        return " | ".join(dict.fromkeys(str(found.get(language) or "–") for language in ("zh", "en")))
    if isinstance(found, list):
        return ("\n" if key == "options" else ", ").join(_said("", one) for one in found)
    return str(VARIABLE_KINDS.get(found, found)) if key == "kind" else str(found)
