"""Mark a string for translation without translating it.

The domain holds no Django; the web layer translates these marks when it shows them. The name is
one that `makemessages` already looks for.
"""

from __future__ import annotations


def gettext_noop(message: str) -> str:
    """Return `message` unchanged; only marks it for the translation catalogue."""
    return message
