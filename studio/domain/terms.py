"""Words that must not appear: found however they are spaced, in whichever width or case."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

#: What people put between the characters of a word to get it past a list.
_BETWEEN = r"[\s\u200b-\u200d\u2060\ufeff·•.*_\-/|~]*"
_LATIN = re.compile(r"[0-9a-zA-Z]")


class TermAction(StrEnum):
    """What a term does: nothing is rendered with it, or whoever writes it is told."""

    BLOCK = "block"
    WARN = "warn"


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A term as it is looked for; `source` says who forbids it."""

    text: str
    action: TermAction
    source: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A term in a text; `found` is how it is written there."""

    term: Forbidden
    found: str


def find(text: str, terms: Iterable[Forbidden]) -> list[Finding]:
    """Each of `terms` that is in `text`, once, those that block first.

    Full-width and half-width letters, upper and lower case are the same. Chinese words and signs are found
    with blanks and dots between them, Latin words only whole.
    """
    plain = unicodedata.normalize("NFKC", text)
    found = [Finding(term, match.group()) for term in terms if (match := _pattern(term.text).search(plain))]
    return sorted(found, key=lambda one: (one.term.action != TermAction.BLOCK, one.term.text))


@lru_cache(maxsize=4096)
def _pattern(term: str) -> re.Pattern[str]:
    parts: list[str] = []
    before = ""
    for letter in unicodedata.normalize("NFKC", term).strip():
        if not letter.isspace() and parts:
            parts.append(_between(parts[-1], letter, gap=before.isspace()))
        if not letter.isspace():
            parts.append(letter)
        before = letter
    if not parts:
        return re.compile(r"(?!)")
    text = "".join(re.escape(part) if at % 2 == 0 else part for at, part in enumerate(parts))
    start, end = (r"(?<![0-9A-Za-z])" if _LATIN.match(parts[0]) else "", r"(?![0-9A-Za-z])" if _LATIN.match(
        parts[-1]) else "")
    return re.compile(f"{start}{text}{end}", re.IGNORECASE)


def _between(one: str, other: str, *, gap: bool) -> str:
    """What may stand between two characters of a word; within a Latin word nothing, between two at least a blank."""
    if _LATIN.match(one) and _LATIN.match(other):
        return r"\s+" if gap else ""
    return _BETWEEN
