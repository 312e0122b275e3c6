"""What is said of a file that can't be used, and how small files are read."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

from studio.domain.errors import ModelUnusable
from studio.domain.i18n import gettext_noop as _

PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl"}
GET_MODEL = _("Put a Z-Image model in diffusers layout there, or point MODEL_DIR at one.")
GET_FILE = _("Copy the file again from where the model came from.")
GET_PLAIN = _("Use the bf16 or fp32 files of the model.")
GET_SAFE = _("Remove the file, or use a model that comes as safetensors.")
_MAX_JSON = 64 * 1024 * 1024  # bytes; the largest real one, an index of shards, has 0.2 MB


def shown(name: object) -> str:
    """A name out of a file, short and printable: files come from strangers, and messages go to terminals."""
    text = "".join(letter if letter.isprintable() else "?" for letter in str(name)[:101])
    return f"{text[:100]}…" if len(text) > 100 else text


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ModelUnusable naming the file."""
    try:
        if path.stat().st_size > _MAX_JSON:
            raise ValueError
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelUnusable(_("The file %(path)s is missing."), hint=GET_FILE, path=path) from error
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise ModelUnusable(_("%(path)s is not valid JSON."), hint=GET_FILE, path=path) from error
    if not isinstance(found, dict):
        raise ModelUnusable(_("%(path)s is not valid JSON."), hint=GET_FILE, path=path)
    return found


def unreadable(path: Path, error: OSError) -> ModelUnusable:
    """What the system said, with the file's name."""
    return ModelUnusable(
        _("%(path)s can't be read: %(reason)s."), path=path, reason=error.strerror or type(error).__name__)


def wrong_value(path: Path, name: str) -> ModelUnusable:
    """A field of a configuration that can't be used."""
    return ModelUnusable(_("%(path)s: “%(name)s” has a value that can't be used."), path=path, name=shown(name))


def require_safetensors(path: Path) -> None:
    """Refuse, by name and kind alone, what is not a plain safetensors file. Raises ModelUnusable."""
    if path.suffix.lower() in PICKLES:  # a pickle runs code when it is loaded
        raise ModelUnusable(
            _("%(path)s is a pickle, which could run code. Only safetensors files are loaded."),
            hint=GET_SAFE, path=path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise ModelUnusable(_("The file %(path)s is missing."), hint=GET_FILE, path=path) from error
    except (OSError, ValueError) as error:
        reason = error if isinstance(error, OSError) else OSError(22, str(error))
        raise unreadable(path, reason) from error
    if path.suffix.lower() != ".safetensors" or not stat.S_ISREG(mode):
        raise ModelUnusable(
            _("%(path)s is not a file whose name ends in .safetensors."), hint=GET_SAFE, path=path)
