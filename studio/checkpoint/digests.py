"""SHA-256 over what decides a model's pictures. Digests of unchanged files are remembered."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from studio.checkpoint.card import CARD
from studio.checkpoint.folder import COMPONENTS
from studio.checkpoint.keys import WEIGHTED
from studio.checkpoint.problems import unreadable
from studio.checkpoint.world import WORLD

_HASHED = {".safetensors", ".json", ".txt", ".jinja", ".model"}


def checksum(folder: Path, cache: Path) -> str:
    """SHA-256, in hex, over the weights and configurations of the model: what decides its pictures.

    `cache` is a JSON file that remembers each file's digest by path, size and time of change, so
    that an unchanged model is not read again. A cache that can't be used costs time, not an error.
    Raises ModelUnusable for a file that can't be read.
    """
    return _total(((path.relative_to(folder).as_posix(), path) for path in hashed_files(folder)), cache)


def checksum_files(
    *, transformer: Path, text_encoder: Path, vae: Path, tokenizer: Path, config: Path, cache: Path,
) -> str:
    """The same over single files: their names do not count, their contents do."""
    parts = [("transformer", transformer), ("text_encoder", text_encoder), ("vae", vae)]
    parts += [(f"tokenizer/{path.name}", path) for path in sorted(tokenizer.glob("*")) if path.suffix in _HASHED]
    parts += [(f"config/{name}", config / name) for name in (
        *(f"{part}/config.json" for part in sorted(WEIGHTED)), "scheduler/scheduler_config.json")]
    return _total(parts, cache)


def checksum_file(path: Path, cache: Path) -> str:
    """The SHA-256 of one file. Raises ModelUnusable when it can't be read."""
    known = _load_cache(cache)
    key, digest = _known_digest(path, known)
    if key not in known:
        _save_cache(cache, known | {key: digest})
    return digest


def hashed_files(folder: Path) -> Iterator[Path]:
    """The files of a folder in diffusers layout that decide its pictures."""
    # What a model says of itself is left out: renaming it does not change what it draws.
    for part in (folder, *(folder / name for name in sorted(COMPONENTS))):
        for path in sorted(part.glob("*")):
            if path.suffix in _HASHED and path.name not in (CARD, WORLD):
                yield path


def _total(parts: Iterable[tuple[str, Path]], cache: Path) -> str:
    known = _load_cache(cache)
    total, fresh = hashlib.sha256(), {}
    for name, path in parts:
        key, digest = _known_digest(path, known)
        fresh[key] = digest
        total.update(f"{name} {digest}\n".encode())
    if not fresh.keys() <= known.keys():
        _save_cache(cache, known | fresh)
    return total.hexdigest()


def _known_digest(path: Path, known: dict[str, str]) -> tuple[str, str]:
    try:
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        return key, known.get(key) or _digest(path)
    except OSError as error:
        raise unreadable(path, error) from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_cache(cache: Path) -> dict[str, str]:
    try:
        found = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if isinstance(value, str)}


def _save_cache(cache: Path, digests: dict[str, str]) -> None:
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=cache.parent, delete=False, encoding="utf-8") as file:
            json.dump(digests, file, indent=1)
        os.replace(file.name, cache)
    except OSError:
        return  # read-only or full disk: the next start hashes again
