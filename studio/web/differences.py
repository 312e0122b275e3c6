"""What changed between two versions of a template, as marked words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from studio.models import TemplateVersion

#: Latin words and runs of blanks stay whole; Chinese is compared letter by letter.
_WORD = re.compile(r"[A-Za-z0-9_{}'’-]+|\s+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text: "same", "gone" or "new"."""

    kind: str
    text: str


def words(before: str, after: str) -> list[Piece]:
    """`before` and `after` as one text with its changes marked."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    found: list[Piece] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            found.append(Piece("same", "".join(old[a:b])))
            continue
        found += [Piece("gone", "".join(old[a:b]))] if b > a else []
        found += [Piece("new", "".join(new[c:d]))] if d > c else []
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that two versions say, and how it changed; `name` is a field's, or a variable's in braces."""

    name: str
    pieces: list[Piece]

    @property
    def changed(self) -> bool:
        """Whether there is anything to see."""
        return any(piece.kind != "same" for piece in self.pieces)


def between(before: TemplateVersion, after: TemplateVersion) -> list[Difference]:
    """Everything in which the two versions differ."""
    found = [Difference("text_zh", words(before.text_zh, after.text_zh)),
             Difference("text_en", words(before.text_en, after.text_en))]
    old, new = ({one["name"]: one for one in version.variables} for version in (before, after))
    for name in dict.fromkeys([*old, *new]):
        found.append(Difference(f"{{{name}}}", words(_said(old.get(name)), _said(new.get(name)))))
    found.append(Difference("settings", words(_said(before.settings), _said(after.settings))))
    found.append(Difference("locked", words(", ".join(before.locked), ", ".join(after.locked))))
    return [one for one in found if one.changed]


def _said(found: object) -> str:
    """A value of JSON as a line that people read."""
    if isinstance(found, dict):
        if found.keys() == {"zh", "en"} or found.keys() <= {"zh", "en"}:
            return " / ".join(str(value) for value in found.values())
        return "; ".join(f"{name}: {_said(value)}" for name, value in found.items() if name != "name")
    if isinstance(found, list):
        return ", ".join(_said(one) for one in found)
    return "" if found is None else str(found)
