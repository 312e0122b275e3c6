"""What a demo model can draw: the `world.json` beside its card."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog

from studio.checkpoint.problems import read_object, wrong_value
from studio.domain.errors import ModelUnusable
from studio.domain.world import Word, World

log = structlog.get_logger(__name__)

WORLD = "world.json"
#: A help panel must stay readable: more entries of a kind, or longer names, are not taken.
_MOST, _LONGEST = 300, 80
#: Tones go into the page's styles: nothing but a colour may be there.
_TONE = re.compile(r"#[0-9a-fA-F]{6}")


def read_world(folder: Path) -> World | None:
    """What the model in `folder` knows; None when it does not say, or says it in a way that can't be used.

    A file is read once, and again when it has changed; what is wrong with it is logged.
    """
    try:
        stat = (folder / WORLD).stat()
    except OSError:
        return None
    return _read(folder / WORLD, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, changed: int, size: int) -> World | None:
    try:
        found = read_object(path)
        return World(*(_words(found, name, path) for name in ("things", "grounds", "styles", "places")))
    except ModelUnusable as error:
        log.warning("model.world_unusable", reason=str(error))
        return None


def _words(found: dict[str, Any], name: str, path: Path) -> tuple[Word, ...]:
    entries = found.get(name)
    if not isinstance(entries, list) or not 0 < len(entries) <= _MOST:
        raise wrong_value(path, name)
    try:
        return tuple(_word(entry) for entry in entries)
    except ValueError as error:
        raise wrong_value(path, name) from error


def _word(entry: object) -> Word:
    """Raises ValueError for what is no name in both languages, or no tones."""
    if not isinstance(entry, dict):
        raise ValueError
    tones = entry.get("tones", [])
    if not isinstance(tones, list) or not all(isinstance(tone, str) and _TONE.fullmatch(tone) for tone in tones):
        raise ValueError
    return Word(_name(entry.get("en")), _name(entry.get("zh")), tuple(tones))


def _name(text: object) -> str:
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST:
        raise ValueError
    # A kind of background is written with the place of its colour, "round {c} podium"; it is known without one, too.
    found = re.sub(r"\{c\} ?", "", text).strip()
    if not found:
        raise ValueError
    return found
