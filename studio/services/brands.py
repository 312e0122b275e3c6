"""Brand kits: write one, and what it does to what is asked for: its style, its LoRAs, the words it must not use."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from secrets import token_hex

from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from studio import permissions
from studio.domain.errors import Conflict, Invalid
from studio.domain.guides import MAX_LORAS, LoraRequest
from studio.domain.i18n import gettext_noop as _
from studio.domain.spec import RenderRequest
from studio.domain.terms import Finding, TermAction
from studio.domain.variables import Value
from studio.models import BrandKit, RenderBatch, Team, Term, User
from studio.services import activity, guides, terms

MAX_COLOURS, MAX_WORDS = 24, 300
_HEX = re.compile(r"#[0-9a-fA-F]{6}")


@dataclass(frozen=True, slots=True)
class Content:
    """What people write into a kit. `palette`: (Chinese, English, "#rrggbb"); `words`: word -> what it does."""

    name_zh: str = ""
    name_en: str = ""
    style_zh: str = ""
    style_en: str = ""
    palette: tuple[tuple[str, str, str], ...] = ()
    loras: tuple[tuple[str, float], ...] = ()
    words: tuple[tuple[str, TermAction], ...] = ()

    @classmethod
    def of(cls, kit: BrandKit) -> Content:
        """That of a stored kit."""
        return cls(
            kit.name_zh, kit.name_en, kit.style_zh, kit.style_en,
            tuple((one["zh"], one["en"], one["hex"]) for one in kit.palette),
            tuple((one["name"], one["weight"]) for one in kit.loras),
            tuple((term.text, TermAction(term.action)) for term in kit.terms.order_by("action", "text")))

    @property
    def mark(self) -> str:
        """Changes with everything in it: tells whether a form is of this content or of an earlier one."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]

    def columns(self) -> dict[str, object]:
        """The kit's columns. Raises Invalid, naming the field."""
        if not (self.name_zh or self.name_en):
            raise Invalid(_("Give the brand kit a name in Chinese, in English, or both."), field="name_zh")
        for name in ("style_zh", "style_en"):
            if len(getattr(self, name)) > 300:
                raise Invalid(_("A style phrase has at most 300 characters."), field=name)
        if len(self.palette) > MAX_COLOURS or any(not _HEX.fullmatch(one[2]) for one in self.palette):
            raise Invalid(_("Write each colour as: Chinese | English | #C8102E, at most %(limit)d of them."),
                          field="palette", limit=MAX_COLOURS)
        if len(self.words) > MAX_WORDS or any(not 0 < len(word) <= 60 for word, _action in self.words):
            raise Invalid(_("Write one word a line, each with at most 60 characters, at most %(limit)d of them."),
                          field="words", limit=MAX_WORDS)
        return {
            "name_zh": self.name_zh, "name_en": self.name_en, "style_zh": self.style_zh, "style_en": self.style_en,
            "palette": [{"zh": zh, "en": en, "hex": colour.upper()} for zh, en, colour in self.palette],
            "loras": [{"name": name, "weight": weight} for name, weight in self.loras]}


def create(*, user: User, team: Team, content: Content) -> BrandKit:
    """Make a kit. Raises Forbidden, Invalid."""
    permissions.require(user, "brand.edit", team)
    stem = slugify(content.name_en)[:40].strip("-") or "brand"
    with transaction.atomic(durable=True):
        kit = BrandKit.objects.create(team=team, slug=f"{stem}-{token_hex(3)}", created_by=user, **content.columns())
        _set_words(kit, content)
        activity.record(verb="brand.created", actor=user, team=team, brand=str(kit))
    return kit


def change(*, user: User, kit: BrandKit, content: Content, seen: str) -> None:
    """Put `content` in the place of the kit's; `seen` is the mark of the one that the form was made from.

    Raises Forbidden, Invalid, or Conflict when somebody else has changed it since.
    """
    permissions.require(user, "brand.edit", kit.team)
    columns = content.columns()
    with transaction.atomic(durable=True):
        locked = BrandKit.objects.select_for_update().get(pk=kit.pk)
        if Content.of(locked).mark != seen:
            raise Conflict(
                _("Somebody else has changed this brand kit since you opened it."),
                hint=_("Your text is still here. Copy what you need, reload the page, and put it in again."))
        BrandKit.objects.filter(pk=kit.pk).update(**columns)
        _set_words(locked, content)
        activity.record(verb="brand.changed", actor=user, team=kit.team, brand=str(kit))


def archive(*, user: User, kit: BrandKit, archived: bool) -> None:
    """Take the kit off the lists, or put it back; campaigns that have it keep it. Raises Forbidden."""
    permissions.require(user, "brand.edit", kit.team)
    with transaction.atomic(durable=True):
        rows = BrandKit.objects.filter(pk=kit.pk, archived_at__isnull=archived)
        if rows.update(archived_at=timezone.now() if archived else None):
            activity.record(verb="brand.archived" if archived else "brand.restored", actor=user, team=kit.team,
                            brand=str(kit))


def _set_words(kit: BrandKit, content: Content) -> None:
    kit.terms.all().delete()
    Term.objects.bulk_create(Term(kit=kit, text=word, action=action) for word, action in dict(content.words).items())


def dress(request: RenderRequest, kit: BrandKit | None) -> RenderRequest:
    """`request` with the kit's style phrases at the end of its prompts, and its LoRAs where none was chosen.

    A phrase that stands there already is not added again, nor one that would make the prompt too long.
    """
    if kit is None:
        return request
    # One that was uninstalled since is left out: whoever renders did not choose it.
    installed = set(guides.lora_names()) if kit.loras and not request.loras else set()
    own = [LoraRequest(one["name"], one["weight"]) for one in kit.loras if one["name"] in installed]
    dressed = replace(request, loras=request.loras or tuple(own[:MAX_LORAS]))
    for field, phrase, comma in (("prompt_zh", kit.style_zh, "，"), ("prompt_en", kit.style_en, ", ")):
        dressed = _with_style(dressed, field, phrase.strip(), comma)
    return dressed


def _with_style(request: RenderRequest, field: str, phrase: str, comma: str) -> RenderRequest:
    prompt: str = getattr(request, field)
    if not (prompt and phrase) or phrase in prompt:
        return request
    try:
        return replace(request, **{field: f"{prompt}{comma}{phrase}"})  # type: ignore[arg-type]  # both fields are texts
    except Invalid:
        return request


def require_clean(request: RenderRequest, values: dict[str, Value], kit: BrandKit | None) -> list[Finding]:
    """Check the variables and what is to be written in the picture. Raises Invalid for a word that blocks."""
    return terms.require_clean(
        kit, checked_texts((request.prompt_zh, request.prompt_en), values),
        "prompt_zh" if request.prompt_zh else "prompt_en")


def checked_texts(prompts: Iterable[str], values: dict[str, Value]) -> list[str]:
    """What the lists of words are held against: the variables, and the prompts' picture text."""
    return [text for value in values.values() for text in (value.zh, value.en)] + terms.picture_texts(prompts)


def findings_of(batch: RenderBatch) -> list[Finding]:
    """The words of the lists that stand in a batch, as the lists are now. It comes with its campaign's brand kit."""
    values = {name: Value(**value) for name, value in batch.values.items()}
    return terms.findings(batch.campaign.brand_kit, checked_texts((batch.prompt_zh, batch.prompt_en), values))
