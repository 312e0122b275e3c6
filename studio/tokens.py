"""How many tokens the model reads of a prompt: the tokenizer alone, without the engine."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from tokenizers import Tokenizer

log = structlog.get_logger(__name__)

# The model's chat template around a prompt, as the engine applies it.
_TEMPLATE = "<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"


def count(file: Path, prompt: str) -> int | None:
    """Tokens of `prompt` with the template around it, before anything is cut off; as the engine counts.

    `file` is the model's `tokenizer.json`. None when it is missing or can't be read.
    """
    try:
        tokenizer = _read(file, file.stat().st_mtime_ns)
    except OSError:
        return None
    # The braces of a prompt are its own: no str.format.
    return len(tokenizer.encode(_TEMPLATE.replace("{prompt}", prompt)).ids) if tokenizer else None


@lru_cache(maxsize=2)
def _read(file: Path, changed: int) -> Tokenizer | None:
    """The tokenizer, read once for each state of its file."""
    from tokenizers import Tokenizer  # a process that nobody asks for tokens does without it

    text = file.read_text(encoding="utf-8", errors="replace")
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception:  # the library raises nothing more exact
        log.exception("tokens.unreadable", file=str(file))
        return None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
