"""Prompt text: cleaning, limits, joining of the two languages."""

from __future__ import annotations

import re
import unicodedata

from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _

#: Characters a person may type per language. Z-Image reads at most 512 tokens.
MAX_PROMPT_CHARS = 2000

# A chat-template token typed by a person would become a control token of the text encoder.
_CONTROL_TOKEN = re.compile(r"<\|[a-z0-9_]{1,32}\|>", re.IGNORECASE)
# What is to be written in the picture: left as typed, so that the model is asked for these very characters.
_QUOTED = re.compile(r"(“[^”]*”|\"[^\"]*\"|「[^」]*」|『[^』]*』|‘[^’]*’)")
_KEEP = {"\n", "\t"}


def clean_prompt(text: str, *, field: str) -> str:
    """Return `text` fit for the text encoder: NFC, one kind of line break, no outer blanks.

    Chat-template tokens, such as the one that ends a message, are taken out, also those that only
    appear when others are gone. Text in quotation marks stays as it was typed apart from that; the
    tokenizer itself still reads all of it in NFC. Raises Invalid (with `field`) for text over
    MAX_PROMPT_CHARS, for control characters and for lone surrogates.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if len(text) > MAX_PROMPT_CHARS:
        raise Invalid(
            _("The prompt has %(length)d characters; at most %(limit)d can be used."),
            field=field, length=len(text), limit=MAX_PROMPT_CHARS,
        )
    if not is_plain(text):
        raise Invalid(
            _("The prompt contains control characters. Type it again, or paste it as plain text."), field=field)
    found = 1
    while found:
        text, found = _CONTROL_TOKEN.subn("", text)
    parts = _QUOTED.split(text)  # every second one is in quotation marks
    parts[::2] = [unicodedata.normalize("NFC", part) for part in parts[::2]]
    return "".join(parts).strip()


def is_plain(text: str) -> bool:
    """Whether `text` has no control characters but line breaks and tabs, and no half of a surrogate pair."""
    return not any(unicodedata.category(c) in ("Cc", "Cs") and c not in _KEEP for c in text)


def join_prompts(zh: str, en: str) -> str:
    """Join the two languages as the model reads them: `zh | en`, or the one that is given.

    Raises Invalid when both are empty.
    """
    if not zh and not en:
        raise Invalid(_("Write a prompt in Chinese, in English, or in both."), field="prompt_zh")
    return f"{zh} | {en}" if zh and en else zh or en
