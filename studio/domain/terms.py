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
_LATIN = re.compile(r"[0-9a-z]")


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

    Full-width and half-width letters, upper and lower case are the same. Chinese words are found with
    blanks and dots between their characters, Latin ones only as whole words.
    """
    plain = unicodedata.normalize("NFKC", text)
    found = [Finding(term, match.group()) for term in terms if (match := _pattern(term.text).search(plain))]
    return sorted(found, key=lambda one: (one.term.action != TermAction.BLOCK, one.term.text))


@lru_cache(maxsize=4096)
def _pattern(term: str) -> re.Pattern[str]:
    plain = unicodedata.normalize("NFKC", term).strip()
    if any(_LATIN.match(letter.lower()) for letter in plain):
        spaced = r"\s+".join(re.escape(word) for word in plain.split())
        return re.compile(rf"(?<![0-9A-Za-z]){spaced}(?![0-9A-Za-z])", re.IGNORECASE)
    return re.compile(_BETWEEN.join(re.escape(letter) for letter in plain if not letter.isspace()) or r"(?!)")
