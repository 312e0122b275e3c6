"""Prompt templates: write a draft, publish it, hand it on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from secrets import token_hex
from typing import Any

from django.db import transaction
from django.db.models import Count, F, Max, Q
from django.db.models.functions import NullIf
from django.utils import timezone
from django.utils.text import slugify

from studio import permissions
from studio.domain.errors import Conflict, Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.prompting import clean_prompt, is_plain
from studio.domain.states import AssetStatus
from studio.domain.templating import LOCKS, TemplateStatus, TemplateText, clean_settings
from studio.domain.variables import Variable
from studio.models import Asset, PromptTemplate, Team, TemplateVersion, User
from studio.models.templates import PromptTemplateQuerySet
from studio.services import activity

MAX_NOTE_CHARS = 200
MAX_NAME_CHARS = 80
_SAVED_SINCE = _("Somebody else has saved this template since you opened it.")
_COPY_YOURS = _("Your text is still here. Copy what you need, reload the page, and put it in again.")


@dataclass(frozen=True, slots=True)
class Content:
    """What a version says. `settings` and `locked` are as `TemplateVersion` holds them."""

    zh: str = ""
    en: str = ""
    variables: tuple[Variable, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    locked: tuple[str, ...] = ()
    note: str = ""

    @classmethod
    def of(cls, version: TemplateVersion) -> Content:
        """That of a stored version. Raises Invalid when its variables can't be read."""
        return cls(version.text_zh, version.text_en, version.text.variables, version.settings,
                   tuple(version.locked), version.note)

    def columns(self) -> dict[str, Any]:
        """The version's columns. Raises Invalid for a text that can't be filled."""
        TemplateText(self.zh, self.en, self.variables)
        zh, en = (clean_prompt(text, field=field) for field, text in (("text_zh", self.zh), ("text_en", self.en)))
        note = " ".join(self.note.split())[:MAX_NOTE_CHARS]
        if not is_plain(note):
            raise Invalid(_("The note contains control characters. Type it again."), field="note")
        locked = [name for name in LOCKS if name in self.locked and (name == "text" or name in self.settings)]
        return {"text_zh": zh, "text_en": en, "variables": [one.as_json() for one in self.variables],
                "settings": clean_settings(self.settings), "locked": locked, "note": note}


def create(*, user: User, team: Team, name_zh: str, name_en: str, content: Content | None = None) -> PromptTemplate:
    """Make a template with a first draft. Raises Forbidden, Invalid."""
    permissions.require(user, "template.edit", team)
    columns, names = (content or Content()).columns(), _named(name_zh, name_en)
    stem = slugify(name_en)[:40].strip("-") or "template"
    with transaction.atomic(durable=True):
        made = PromptTemplate.objects.create(
            team=team, slug=f"{stem}-{token_hex(3)}", created_by=user, **names)
        TemplateVersion.objects.create(template=made, number=1, edited_by=user, edited_at=timezone.now(), **columns)
        activity.record(verb="template.created", actor=user, team=team, template=str(made))
    return made


def _named(name_zh: str, name_en: str) -> dict[str, str]:
    """The columns of the two names. Raises Invalid."""
    names = {"name_zh": name_zh.strip(), "name_en": name_en.strip()}
    if not any(names.values()):
        raise Invalid(_("Give the template a name in Chinese, in English, or both."), field="name_zh")
    for field_name, name in names.items():
        if len(name) > MAX_NAME_CHARS or not is_plain(name):
            raise Invalid(_("A template's name is plain text of at most %(limit)d characters."), field=field_name,
                          limit=MAX_NAME_CHARS)
    return names


def save_draft(
    *, user: User, template: PromptTemplate, content: Content, seen: datetime | None, name_zh: str, name_en: str,
) -> TemplateVersion:
    """Keep `content` as the template's draft, which is made when there is none.

    `seen` is the draft's `edited_at` as the editor was shown it, None when there was no draft. Raises Forbidden,
    Invalid, or Conflict when somebody else has saved since: nothing of theirs is overwritten.
    """
    permissions.require(user, "template.edit", template.team)
    names, columns = _named(name_zh, name_en), content.columns() | {"edited_by": user, "edited_at": timezone.now()}
    with transaction.atomic(durable=True):
        _lock(template)
        draft = _draft(template)
        if draft is None and seen is None:
            draft = _new_draft(template, columns)
            activity.record(verb="template.drafted", actor=user, team=template.team, template=str(template),
                            number=draft.number)
        elif draft is None or seen is None or not TemplateVersion.objects.filter(
                pk=draft.pk, status=TemplateStatus.DRAFT, edited_at=seen).update(**columns):
            raise Conflict(_SAVED_SINCE, hint=_COPY_YOURS)
        PromptTemplate.objects.filter(pk=template.pk).update(**names)
        draft.refresh_from_db()
    return draft


def _lock(template: PromptTemplate) -> None:
    """Whoever writes versions of a template goes one after the other, and takes this lock first: no deadlock."""
    PromptTemplate.objects.select_for_update(no_key=True).get(pk=template.pk)


def _draft(template: PromptTemplate) -> TemplateVersion | None:
    return TemplateVersion.objects.filter(template=template, status=TemplateStatus.DRAFT).first()


def _new_draft(template: PromptTemplate, columns: dict[str, Any]) -> TemplateVersion:
    last = TemplateVersion.objects.filter(template=template).aggregate(last=Max("number"))["last"] or 0
    return TemplateVersion.objects.create(template=template, number=last + 1, **columns)


def publish(*, user: User, template: PromptTemplate, seen: datetime) -> TemplateVersion:
    """Offer the draft to everybody who may use the template; the version offered before is retired.

    `seen` is its `edited_at` as whoever publishes has read it. Raises Forbidden, Invalid (a draft that can't be
    rendered), or Conflict when there is no draft, or another one by now.
    """
    permissions.require(user, "template.publish", template.team)
    with transaction.atomic(durable=True):
        _lock(template)
        draft = _draft(template)
        if draft is None:
            raise Conflict(_("There is no draft to publish."))
        if draft.edited_at != seen:
            raise Conflict(_SAVED_SINCE, hint=_COPY_YOURS)
        text = draft.text
        if not (text.zh.strip() or text.en.strip()):
            raise Invalid(_("Write the template's text first."), field="text_zh")
        TemplateVersion.objects.filter(template=template, status=TemplateStatus.PUBLISHED).update(
            status=TemplateStatus.RETIRED)
        TemplateVersion.objects.filter(pk=draft.pk).update(
            status=TemplateStatus.PUBLISHED, published_by=user, published_at=timezone.now())
        activity.record(verb="template.published", actor=user, team=template.team, template=str(template),
                        number=draft.number)
        draft.refresh_from_db()
    return draft


def retire(*, user: User, template: PromptTemplate) -> None:
    """Offer the template no more until a version is published again. Raises Forbidden, or Conflict when none is."""
    permissions.require(user, "template.publish", template.team)
    with transaction.atomic(durable=True):
        _lock(template)
        row = TemplateVersion.objects.filter(template=template, status=TemplateStatus.PUBLISHED).first()
        if row is None:
            raise Conflict(_("No version of this template is offered."))
        TemplateVersion.objects.filter(pk=row.pk).update(status=TemplateStatus.RETIRED)
        activity.record(verb="template.retired", actor=user, team=template.team, template=str(template),
                        number=row.number)


def duplicate(*, user: User, template: PromptTemplate, team: Team) -> PromptTemplate:
    """Copy the newest version into a template of `team`, as its first draft. Raises Forbidden, or Conflict if empty."""
    permissions.require(user, "template.edit", team)
    newest = template.versions.first()
    if newest is None:
        raise Conflict(_("There is nothing to copy yet."))
    names = {"name_zh": f"{template.name_zh} 副本" if template.name_zh else "",
             "name_en": f"{template.name_en} copy" if template.name_en else ""}
    return create(user=user, team=team, content=replace(Content.of(newest), note=""),
                  **{name: text[-MAX_NAME_CHARS:] for name, text in names.items()})


def restore(*, user: User, template: PromptTemplate, version: TemplateVersion) -> TemplateVersion:
    """Make a draft of an earlier version. Raises Forbidden, or Conflict when there is a draft already."""
    permissions.require(user, "template.edit", template.team)
    with transaction.atomic(durable=True):
        _lock(template)
        if _draft(template):
            raise Conflict(_("There is a draft already: publish it or go on with it."))
        draft = _new_draft(template, Content.of(version).columns() | {"edited_by": user, "edited_at": timezone.now()})
    return draft


def share(*, user: User, template: PromptTemplate, shared: bool) -> None:
    """Let all teams use the template, or its own alone. Raises Forbidden."""
    permissions.require(user, "template.share", template.team)
    with transaction.atomic(durable=True):
        if PromptTemplate.objects.filter(pk=template.pk).exclude(shared=shared).update(shared=shared):
            activity.record(verb="template.shared" if shared else "template.unshared", actor=user,
                            team=template.team, template=str(template))


def archive(*, user: User, template: PromptTemplate, archived: bool) -> None:
    """Take the template off the lists, or put it back. What was rendered with it stays. Raises Forbidden."""
    permissions.require(user, "template.edit", template.team)
    with transaction.atomic(durable=True):
        rows = PromptTemplate.objects.filter(pk=template.pk, archived_at__isnull=archived)
        if rows.update(archived_at=timezone.now() if archived else None):
            activity.record(verb="template.archived" if archived else "template.restored", actor=user,
                            team=template.team, template=str(template))


def from_picture(*, user: User, asset: Asset) -> PromptTemplate:
    """Make a template of a picture's recipe: its words, its settings, its format. Raises Forbidden."""
    batch = asset.job.batch
    content = Content(
        zh=_plain(batch.prompt_zh), en=_plain(batch.prompt_en), settings={
            "steps": batch.steps, "sampler": batch.sampler, "guidance": batch.guidance, "negative": batch.negative,
            "count": batch.count, **({"formats": [asset.ad_format_id]} if asset.ad_format_id else {})})
    if batch.version and batch.version.template.team_id == asset.campaign.team_id:
        content = Content.of(batch.version)
    return create(user=user, team=asset.campaign.team, name_zh="", name_en=f"Frame {asset.job.frame}", content=content)


def _plain(prompt: str) -> str:
    """Words of a prompt as a template's text: a brace stands for itself."""
    return prompt.replace("{", "{{").replace("}", "}}")


def with_numbers(templates: PromptTemplateQuerySet) -> PromptTemplateQuerySet:
    """`templates` with `pictures` made with them, and of those `approved` and `decided` ones."""
    assets = "versions__batches__jobs__asset"
    decided = [AssetStatus.APPROVED, AssetStatus.CHANGES]
    return templates.annotate(
        pictures=Count(assets, distinct=True),
        approved=Count(assets, filter=Q(**{f"{assets}__status": AssetStatus.APPROVED}), distinct=True),
        decided=Count(assets, filter=Q(**{f"{assets}__status__in": decided}), distinct=True),
        offered=Max("versions__number", filter=Q(versions__status=TemplateStatus.PUBLISHED)),
        newest=Max("versions__number")).annotate(rate=100 * F("approved") / NullIf(F("decided"), 0))
