"""Words that must not appear: the lists, and what is found in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db.models import Q

from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.terms import Finding, Forbidden, TermAction, find
from studio.models import BrandKit, Term

#: What is to be written in the picture.
_QUOTED = re.compile(r"[“\"「『‘]([^”\"」』’]{1,200})[”\"」』’]")


def known(kit: BrandKit | None) -> list[Forbidden]:
    """The words that all teams are held to, and the kit's own, which win over them."""
    rows = Term.objects.filter(Q(kit=None) | Q(kit=kit) if kit else Q(kit=None)).order_by("kit")
    found = {row.text: Forbidden(row.text, TermAction(row.action), row.source, row.note)
             for row in sorted(rows, key=lambda row: row.kit_id is not None)}
    return list(found.values())


def picture_texts(prompts: Iterable[str]) -> list[str]:
    """What prompts ask to be written in the picture: the text in quotation marks."""
    return [text for prompt in prompts for text in _QUOTED.findall(prompt)]


def require_clean(kit: BrandKit | None, texts: Iterable[str], field: str) -> list[Finding]:
    """The words in `texts` that people should know of. Raises Invalid (with `field`) for one that blocks."""
    joined = "\n".join(texts)
    found = find(joined, known(kit)) if joined.strip() else []
    if found and found[0].term.action == TermAction.BLOCK:
        raise Invalid(_("“%(word)s” must not appear: %(source)s"), field=field, word=found[0].found,
                      source=found[0].term.source or found[0].term.note or "–")
    return found
