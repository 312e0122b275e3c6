"""Prompt templates: the list, the editor, versions, files."""

from __future__ import annotations

from django.contrib import messages
from django.db.models import Q
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, resolve_url
from django.utils.http import content_disposition_header
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from studio import permissions
from studio.domain import templatefiles
from studio.domain.errors import Conflict, Forbidden, Invalid, StudioError
from studio.domain.prompting import is_plain
from studio.domain.spec import MAX_COUNT, MAX_STEPS, SAMPLER_LABELS
from studio.domain.templating import MAX_VARIABLES, TemplateStatus
from studio.domain.variables import Value
from studio.models import AdFormat, Asset, PromptTemplate, Team, TemplateVersion
from studio.services import templates
from studio.services.templates import Content
from studio.templatetags.studio_text import textlang
from studio.templatetags.studio_words import VARIABLE_KINDS
from studio.web import differences
from studio.web.forms.templates import Editor
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.previews import preview
from studio.web.texts import error_hint, error_text

TABS = ("ours", "shared", "archived")
SAMPLES = 4


def visible(request: StudioRequest, slug: str) -> PromptTemplate:
    """The template, or a 404 for one the person cannot see."""
    return get_object_or_404(PromptTemplate.objects.visible_to(request.user).select_related("team"), slug=slug)


@require_safe
@signed_in
def listing(request: StudioRequest) -> HttpResponse:
    """All templates one may use, by where they come from."""
    return _listing(request)


def _listing(request: StudioRequest, *, refused: str = "") -> HttpResponse:
    tab = request.GET.get("tab", "")
    tab = tab if tab in TABS else TABS[0]
    asked = request.GET.get("q", "").replace("\0", "").strip()[:80]
    seen, teams = PromptTemplate.objects.visible_to(request.user), permissions.teams_with(request.user, "template.edit")
    own = Q(team__in=Team.objects.filter(memberships__user=request.user))
    if request.user.is_superuser:
        own = Q()
    found = {"ours": seen.filter(own, archived_at=None), "shared": seen.filter(shared=True, archived_at=None),
             "archived": seen.filter(own).exclude(archived_at=None)}
    shown = found[tab].filter(Q(name_zh__icontains=asked) | Q(name_en__icontains=asked)) if asked else found[tab]
    return page(request, "studio/templates.html", {
        "nav": "templates", "tab": tab, "tabs": [(name, rows.count()) for name, rows in found.items()], "asked": asked,
        "templates": templates.with_numbers(shown.select_related("team")), "refused": refused,
        "teams": Team.objects.filter(pk__in=teams).order_by("slug"),
        "may_edit": permissions.ALLOWED if teams else permissions.Decision(False, permissions.MAKERS_REASON),
    }, status=422 if refused else 200)


@require_POST
@signed_in
def new(request: StudioRequest) -> HttpResponse:
    """Make a template, empty or from a file, and go on in its editor."""
    teams = permissions.teams_with(request.user, "template.edit")
    if not teams:
        raise Forbidden(permissions.MAKERS_REASON)
    wanted = request.POST.get("team", "")
    team = Team.objects.filter(pk__in=teams, pk=wanted).first() if wanted.isdecimal() and len(wanted) < 18 else None
    team = team or Team.objects.filter(pk__in=teams).order_by("slug")[0]
    try:
        name, content = _from_file(request) if "file" in request.FILES else (_new_name(), Content())
        made = templates.create(user=request.user, team=team, name_zh=name.zh, name_en=name.en, content=content)
    except Invalid as error:
        return _listing(request, refused=error_text(error))
    return HttpResponseRedirect(resolve_url("template", made.slug))


def _new_name() -> Value:
    """What a template is called before somebody names it, in the page's language."""
    name = gettext("New template")
    return Value(zh=name) if textlang(name) == "zh-CN" else Value(en=name)


def _from_file(request: StudioRequest) -> tuple[Value, Content]:
    upload = request.FILES["file"]
    assert not isinstance(upload, list)
    name, text, settings, locked = templatefiles.read(upload.read(templatefiles.MAX_FILE_BYTES + 1))
    stem = (upload.name or "").rsplit(".", 1)[0].replace("\0", "")[:80]
    if name.empty:
        name = Value(en=stem) if stem and is_plain(stem) else _new_name()
    return name, Content(
        text.zh, text.en, text.variables, settings, tuple(locked))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def template(request: StudioRequest, slug: str) -> HttpResponse:
    """The editor. A post keeps the draft; with `publish` it is offered then."""
    found = visible(request, slug)
    draft = found.versions.filter(status=TemplateStatus.DRAFT).first()
    if request.method != "POST":
        return _editor(request, found, Editor.of(found, draft or found.versions.first(), draft))
    permissions.require(request.user, "template.edit", found.team)
    editor = Editor.posted(request.POST)
    if any(action in request.POST for action in ("add", "drop", "up")):
        return _editor(request, found, editor)
    try:
        content = editor.content()
        if content is not None:
            kept = templates.save_draft(user=request.user, template=found, content=content, seen=editor.seen_at,
                                        name_zh=editor.name_zh, name_en=editor.name_en)
            editor.seen = kept.edited_at.isoformat()
            if "publish" in request.POST:
                published = templates.publish(user=request.user, template=found, seen=kept.edited_at)
                say(request, gettext("Version %(number)s is offered now.") % {"number": published.number})
                there = resolve_url("template", slug)
                # The whole page anew: its bar and its actions speak of the version, too.
                return HttpResponse(headers={"HX-Redirect": there}) if request.htmx else HttpResponseRedirect(there)
    except Invalid as error:
        editor.errors[error.field or "text_zh"] = error_text(error)
    except Conflict as error:
        editor.errors["conflict"] = f"{error_text(error)} {error_hint(error)}".strip()
        return _editor(request, found, editor, status=409)
    if editor.errors:
        # What is half typed when a draft is kept by itself is no mistake yet; it is said, and not kept.
        return _editor(request, found, editor, status=200 if request.htmx and "auto" in request.POST else 422)
    if request.htmx:
        return _editor(request, found, editor)
    return HttpResponseRedirect(resolve_url("template", slug))


def _editor(request: StudioRequest, found: PromptTemplate, editor: Editor, *, status: int = 200) -> HttpResponse:
    versions = list(found.versions.select_related("edited_by"))
    draft = next((one for one in versions if one.status == TemplateStatus.DRAFT), None)
    published = next((one for one in versions if one.status == TemplateStatus.PUBLISHED), None)
    samples = Asset.objects.visible_to(request.user).filter(job__batch__version__template=found).select_related(
        "job__batch", "campaign").order_by("-pk")[:SAMPLES]
    return page(request, "studio/template.html", {
        "nav": "templates", "template": found, "editor": editor, "draft": draft, "published": published,
        "saved": None if editor.errors else draft, "next_number": draft.number if draft else len(versions) + 1,
        "preview": preview(editor), "kinds": VARIABLE_KINDS, "most": MAX_VARIABLES, "samples": samples,
        "samplers": SAMPLER_LABELS, "steps_limit": MAX_STEPS, "count_limit": MAX_COUNT,
        "presets": AdFormat.objects.filter(active=True), "formats": editor.settings.get("formats") or [],
        "may_edit": permissions.decide(request.user, "template.edit", found.team),
        "may_publish": permissions.decide(request.user, "template.publish", found.team),
        "setting_labels": differences.SETTING_LABELS,
        "may_copy": bool(permissions.teams_with(request.user, "template.edit")),
        "may_share": permissions.decide(request.user, "template.share", found.team),
    }, partial="studio/_template_editor.html", status=status)


@require_safe
@signed_in
def versions(request: StudioRequest, slug: str) -> HttpResponse:
    """Who changed what: every version with its difference from the one before."""
    found = visible(request, slug)
    rows = list(found.versions.select_related("edited_by", "published_by"))
    pairs = [(row, differences.between(rows[at + 1], row) if at + 1 < len(rows) else []) for at, row in enumerate(rows)]
    return page(request, "studio/template_versions.html", {
        "nav": "templates", "template": found, "pairs": pairs,
        "has_draft": any(row.status == TemplateStatus.DRAFT for row in rows),
        "may_edit": permissions.decide(request.user, "template.edit", found.team)})


@require_POST
@signed_in
def act(request: StudioRequest, slug: str) -> HttpResponse:
    """`do`: share, unshare, archive, restore, retire, duplicate, or back (to the version `number`)."""
    found, wanted = visible(request, slug), request.POST.get("do", "")
    try:
        match wanted:
            case "share" | "unshare":
                templates.share(user=request.user, template=found, shared=wanted == "share")
            case "archive" | "restore":
                templates.archive(user=request.user, template=found, archived=wanted == "archive")
                if wanted == "archive":
                    say(request, gettext("The template is archived."))
            case "retire":
                templates.retire(user=request.user, template=found)
                say(request, gettext("The template is offered no more, until a version is published again."))
            case "duplicate":
                copy = templates.duplicate(user=request.user, template=found, team=_own_team(request, found))
                say(request, gettext("This is the copy. Give it a name of its own."))
                return HttpResponseRedirect(resolve_url("template", copy.slug))
            case "back":
                templates.restore(user=request.user, template=found, version=_version(request, found))
                say(request, gettext("The draft says what that version said."))
            case _:
                raise Http404
    except Forbidden:
        raise
    except StudioError as error:
        messages.error(request, f"{error_text(error)} {error_hint(error)}".strip())
    return HttpResponseRedirect(resolve_url("template", slug))


def _own_team(request: StudioRequest, found: PromptTemplate) -> Team:
    """Where a copy goes: the template's own team, or for who only uses it the first of theirs."""
    teams = permissions.teams_with(request.user, "template.edit")
    if found.team_id in teams or not teams:
        return found.team
    return Team.objects.filter(pk__in=teams).order_by("slug")[0]


def _version(request: StudioRequest, found: PromptTemplate) -> TemplateVersion:
    number = request.POST.get("number", "")
    return get_object_or_404(found.versions, number=number if number.isdecimal() and len(number) < 9 else 0)


@require_POST
@signed_in
def from_picture(request: StudioRequest, pk: int) -> HttpResponse:
    """Make a template of a picture's recipe."""
    asset = get_object_or_404(Asset.objects.visible_to(request.user).select_related(
        "job__batch__version__template", "campaign__team"), pk=pk)
    made = templates.from_picture(user=request.user, asset=asset)
    return HttpResponseRedirect(resolve_url("template", made.slug))


@require_safe
@signed_in
def export(request: StudioRequest, slug: str, kind: str) -> HttpResponse:
    """The newest version as a file: JSON with everything, CSV with texts and variables."""
    found = visible(request, slug)
    version = found.versions.first()
    if version is None or kind not in ("json", "csv"):
        raise Http404
    text = templatefiles.to_csv(version.text) if kind == "csv" else templatefiles.to_json(
        Value(found.name_zh, found.name_en), version.text, version.settings, version.locked)
    return HttpResponse(text.encode("utf-8-sig" if kind == "csv" else "utf-8"), headers={
        "Content-Type": "text/csv; charset=utf-8" if kind == "csv" else "application/json",
        "Content-Disposition": content_disposition_header(True, f"{found.slug}.{kind}") or ""})
