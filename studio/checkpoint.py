"""A model folder on disk: what it says of itself, whether it is whole, and its checksum.

Reads files only; neither torch nor the render engine is needed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _
from studio.domain.modelcard import FAMILIES, MULTIPLE, ModelCard
from studio.domain.spec import MAX_STEPS

CARD = "studio.json"
INDEX = "model_index.json"
PIPELINE = "ZImagePipeline"
WEIGHTED = ("text_encoder", "transformer", "vae")
COMPONENTS = (*WEIGHTED, "tokenizer", "scheduler")

_LIBRARIES = {"diffusers", "transformers"}
_PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}
_HASHED = {".safetensors", ".json", ".txt", ".jinja", ".model"}
_MAX_HEADER = 100 * 1024 * 1024  # bytes; the limit of the safetensors format
_GET_MODEL = _("Put a Z-Image model in diffusers layout there, or point MODEL_DIR at one.")
_GET_FILE = _("Copy the file again from where the model came from.")


def read_card(folder: Path) -> ModelCard:
    """The card of the model in `folder`; defaults of Z-Image-Turbo when it has no `studio.json`.

    Looks at names and small JSON files only. Raises ModelUnusable, naming the file, for a folder
    that is not a Z-Image model in diffusers layout, that holds pickled weights, or whose card has
    a wrong field.
    """
    if not folder.is_dir():
        raise ModelUnusable(_("There is no model folder at %(path)s."), hint=_GET_MODEL, path=folder)
    _check_index(folder)
    for name in COMPONENTS:
        if not (folder / name).is_dir():
            raise ModelUnusable(_("The model folder has no %(path)s."), hint=_GET_MODEL, path=folder / name)
    for name in WEIGHTED:
        if not any((folder / name).glob("*.safetensors")):
            raise ModelUnusable(_("%(path)s holds no safetensors file."), hint=_GET_MODEL, path=folder / name)
    for path in sorted(folder.rglob("*")):
        # A pickle runs code when it is loaded.
        if path.suffix.lower() in _PICKLES:
            raise ModelUnusable(
                _("%(path)s is a pickle, which could run code. Only safetensors files are loaded."),
                hint=_("Remove the file, or use a model that comes as safetensors."), path=path,
            )
    return _card(folder / CARD) if (folder / CARD).exists() else ModelCard(name="Z-Image-Turbo")


def verify(folder: Path) -> ModelCard:
    """Check every component down to the length of each weight file; return the card.

    Reads headers, not weights. Raises ModelUnusable naming the first file that is not right.
    """
    card = read_card(folder)
    for name in WEIGHTED:
        _read_object(folder / name / "config.json")
        names: set[str] = set()
        for path in sorted((folder / name).glob("*.safetensors")):
            names |= tensor_names(path)
        for index in sorted((folder / name).glob("*.safetensors.index.json")):
            _check_shards(index, names)
    _read_object(folder / "scheduler" / "scheduler_config.json")
    tokenizer = folder / "tokenizer"
    if not (tokenizer / "tokenizer.json").exists() and not (tokenizer / "vocab.json").exists():
        raise ModelUnusable(_("The file %(path)s is missing."), hint=_GET_FILE, path=tokenizer / "tokenizer.json")
    _read_object(tokenizer / "tokenizer_config.json")
    return card


def tensor_names(path: Path) -> set[str]:
    """Names of the tensors in a safetensors file, from its header.

    Raises ModelUnusable when the header can't be read, when the file's length differs from what
    the header says, and for scaled fp8 weights, whose scales diffusers would ignore in silence.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(length) if length <= _MAX_HEADER else b"")
            size = os.fstat(file.fileno()).st_size
        header.pop("__metadata__", None)
        end = 8 + length + max((entry["data_offsets"][1] for entry in header.values()), default=0)
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, AttributeError, KeyError, TypeError, IndexError) as error:
        raise ModelUnusable(
            _("%(path)s is not a safetensors file, or its beginning is damaged."), hint=_GET_FILE, path=path,
        ) from error
    if size != end:
        raise ModelUnusable(
            _("%(path)s is incomplete: it has %(size)d bytes, and its header says %(end)d."),
            hint=_GET_FILE, path=path, size=size, end=end,
        )
    if any(name.endswith(("scale_weight", "weight_scale")) for name in header):
        raise ModelUnusable(
            _("%(path)s holds scaled fp8 weights, which can't be loaded."),
            hint=_("Use the bf16 or fp32 files of the model."), path=path,
        )
    return set(header)


def checksum(folder: Path, cache: Path) -> str:
    """SHA-256, in hex, over the weights and configurations of the model: what decides its pictures.

    `cache` is a JSON file that remembers each file's digest by path, size and time of change, so
    that an unchanged model is not read again. A cache that can't be used costs time, not an error.
    Raises ModelUnusable for a file that can't be read.
    """
    known = _load_cache(cache)
    total, fresh = hashlib.sha256(), {}
    for path in _hashed_files(folder):
        try:
            stat = path.stat()
            key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
            digest = known.get(key) or _digest(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        fresh[key] = digest
        total.update(f"{path.relative_to(folder).as_posix()} {digest}\n".encode())
    if not fresh.keys() <= known.keys():
        _save_cache(cache, known | fresh)
    return total.hexdigest()


def _check_index(folder: Path) -> None:
    path = folder / INDEX
    index = _read_object(path)
    if index.get("_class_name") != PIPELINE:
        raise ModelUnusable(_("%(path)s does not describe a %(name)s."), hint=_GET_MODEL, path=path, name=PIPELINE)
    for name in COMPONENTS:
        entry = index.get(name)
        # diffusers imports the library that is named here: only the two that Z-Image needs.
        if not isinstance(entry, list) or len(entry) != 2 or entry[0] not in _LIBRARIES:
            raise ModelUnusable(_("%(path)s has no usable entry “%(name)s”."), hint=_GET_MODEL, path=path, name=name)


def _check_shards(index: Path, names: set[str]) -> None:
    listed = _read_object(index).get("weight_map")
    if not isinstance(listed, dict):
        raise ModelUnusable(_("%(path)s has no usable entry “%(name)s”."), path=index, name="weight_map")
    for name, file in listed.items():
        if not (index.parent / str(file)).exists():
            raise ModelUnusable(_("The file %(path)s is missing."), hint=_GET_FILE, path=index.parent / str(file))
        if name not in names:
            raise ModelUnusable(
                _("%(path)s lacks the tensor %(name)s."), hint=_GET_FILE, path=index.parent / str(file), name=name
            )


def _card(path: Path) -> ModelCard:
    found = _read_object(path)
    known = {f.name for f in fields(ModelCard)}
    for name in found:
        if name not in known:
            raise ModelUnusable(_("%(path)s has an unknown field “%(name)s”."), path=path, name=name)
    if "name" not in found:
        raise ModelUnusable(_("%(path)s has no usable entry “%(name)s”."), path=path, name="name")
    for name, value in found.items():
        if not _right(name, value):
            raise ModelUnusable(_("%(path)s: “%(name)s” has a value that can't be used."), path=path, name=name)
    return ModelCard(**found)


def _right(name: str, value: object) -> bool:
    """Whether `value` is of the field's type and within its limits."""
    if name == "name":
        return isinstance(value, str) and 0 < len(value.strip()) <= 100
    if name == "demo":
        return isinstance(value, bool)
    if name == "family":
        return value in FAMILIES
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if name == "guidance":
        return math.isfinite(value) and 0 <= value <= 20
    if not isinstance(value, int):
        return False
    if name == "native_side":
        return value == 0 or (64 <= value <= 4096 and value % MULTIPLE == 0)
    low, high = {"max_pixels": (64 * 64, 8192 * 8192), "steps": (1, MAX_STEPS), "max_tokens": (1, 1504)}[name]
    return low <= value <= high


def _read_object(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelUnusable(_("The file %(path)s is missing."), hint=_GET_FILE, path=path) from error
    except OSError as error:
        raise _unreadable(path, error) from error
    except ValueError as error:
        raise ModelUnusable(_("%(path)s is not valid JSON."), hint=_GET_FILE, path=path) from error
    if not isinstance(found, dict):
        raise ModelUnusable(_("%(path)s is not valid JSON."), hint=_GET_FILE, path=path)
    return found


def _unreadable(path: Path, error: OSError) -> ModelUnusable:
    return ModelUnusable(
        _("%(path)s can't be read: %(reason)s."), path=path, reason=error.strerror or type(error).__name__
    )


def _hashed_files(folder: Path) -> Iterator[Path]:
    # The card is left out: renaming a model does not change what it draws.
    for part in (folder, *(folder / name for name in sorted(COMPONENTS))):
        for path in sorted(part.glob("*")):
            if path.suffix in _HASHED and path.name != CARD:
                yield path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_cache(cache: Path) -> dict[str, str]:
    try:
        found = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
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
