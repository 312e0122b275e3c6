"""Words that must not appear: the lists, and what is found in a text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q

from studio import permissions
from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.terms import Finding, Forbidden, TermAction, find
from studio.models import BrandKit, Team, Term, User
from studio.services import activity

#: What is to be written in the picture.
_QUOTED = re.compile(r"“([^”]+)”|\"([^\"]+)\"|「([^」]+)」|『([^』]+)』|‘([^’]+)’")


def known(kit: BrandKit | None) -> list[Forbidden]:
    """The words that all teams are held to, and the kit's own; a kit can make a word stricter, never milder."""
    rows = Term.objects.filter(Q(kit=None) | Q(kit=kit) if kit else Q(kit=None))
    # The last of a word's rows stays: what blocks, and of two that block the kit's.
    ordered = sorted(rows, key=lambda row: (row.action == TermAction.BLOCK, row.kit_id is not None))
    return list({row.text: Forbidden(row.text, TermAction(row.action), row.source, row.note)
                 for row in ordered}.values())


def picture_texts(prompts: Iterable[str]) -> list[str]:
    """What prompts ask to be written in the picture: the text in quotation marks."""
    return ["".join(found) for prompt in prompts for found in _QUOTED.findall(prompt)]


def findings(kit: BrandKit | None, texts: Iterable[str]) -> list[Finding]:
    """The words of the lists that are in `texts`, those that block first."""
    joined = "\n".join(texts)
    return find(joined, known(kit)) if joined.strip() else []


def require_clean(kit: BrandKit | None, texts: Iterable[str], field: str) -> list[Finding]:
    """The words in `texts` that people should know of. Raises Invalid (with `field`) for one that blocks."""
    found = findings(kit, texts)
    if found and found[0].term.action == TermAction.BLOCK:
        raise Invalid(_("“%(word)s” must not appear: %(source)s"), field=field, word=found[0].found,
                      source=found[0].term.source or found[0].term.note or "–")
    return found


def add(*, user: User, text: str, action: str, source: str) -> Term:
    """A word that all teams are held to. Raises Forbidden, Invalid."""
    permissions.require_for_all(user, "term.manage")
    words = " ".join(text.split())
    if not words or len(words) > 60 or "\0" in text + source:
        raise Invalid(_("Write the word, with at most 60 characters."), field="text")
    with transaction.atomic(durable=True):
        if Term.objects.filter(kit=None, text=words).exists():
            raise Invalid(_("“%(word)s” is on the list already."), field="text", word=words)
        made = Term.objects.create(text=words, action=_action(action), source=source.strip()[:200])
        _record(user, "term.added", words)
    return made


def change(*, user: User, term: Term, action: str) -> None:
    """Let the word block, or warn only. Raises Forbidden, Invalid."""
    permissions.require_for_all(user, "term.manage")
    with transaction.atomic(durable=True):
        if Term.objects.filter(pk=term.pk).exclude(action=_action(action)).update(action=action):
            _record(user, "term.changed", term.text)


def remove(*, user: User, term: Term) -> None:
    """Take the word off the list. Raises Forbidden."""
    permissions.require_for_all(user, "term.manage")
    with transaction.atomic(durable=True):
        if Term.objects.filter(pk=term.pk).delete()[0]:
            _record(user, "term.removed", term.text)


def _action(action: str) -> str:
    if action not in set(TermAction):
        raise Invalid(_("A word blocks or warns."), field="action")
    return action


def _record(user: User, verb: str, word: str) -> None:
    """In the list of every team: it holds for all."""
    for team in Team.objects.all():
        activity.record(verb=verb, actor=user, team=team, word=word)
