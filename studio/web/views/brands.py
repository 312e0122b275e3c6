"""Brand kits: the list, and one kit's form."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import get_object_or_404, resolve_url
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from studio import permissions
from studio.domain.errors import Conflict, Forbidden, Invalid
from studio.domain.guides import LORA_WEIGHT, MAX_LORA_WEIGHT
from studio.domain.terms import TermAction
from studio.models import BrandKit, Team
from studio.services import brands, guides
from studio.services.brands import Content
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.texts import error_hint, error_text

_LISTS = {"blocked": TermAction.BLOCK, "warned": TermAction.WARN}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def listing(request: StudioRequest) -> HttpResponse:
    """The kits of one's teams; a post makes one."""
    teams = permissions.teams_with(request.user, "brand.edit")
    typed = _typed(request.POST)
    refused = ""
    if request.method == "POST":
        if not teams:
            raise Forbidden(permissions.decide(request.user, "brand.edit", _any_team(request)).reason)
        wanted = request.POST.get("team", "")
        team = Team.objects.filter(pk__in=teams, pk=wanted).first() if wanted.isdecimal() and len(wanted) < 18 else None
        try:
            kit = brands.create(user=request.user, team=team or Team.objects.filter(pk__in=teams).order_by("slug")[0],
                                content=_content(typed))
            return HttpResponseRedirect(resolve_url("brand", kit.slug))
        except Invalid as error:
            refused = error_text(error)
    return page(request, "studio/brands.html", {
        "nav": "templates", "kits": BrandKit.objects.visible_to(request.user).select_related("team").order_by(
            "archived_at", "name_en", "name_zh"), "teams": Team.objects.filter(pk__in=teams).order_by("slug"),
        "refused": refused, "typed": typed}, status=422 if refused else 200)


def _any_team(request: StudioRequest) -> Team:
    return get_object_or_404(Team.objects.filter(memberships__user=request.user)[:1])


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def kit(request: StudioRequest, slug: str) -> HttpResponse:
    """One kit; a post changes it."""
    found = get_object_or_404(BrandKit.objects.visible_to(request.user).select_related("team"), slug=slug)
    if request.method != "POST":
        return _kit(request, found, _shown(Content.of(found)))
    permissions.require(request.user, "brand.edit", found.team)
    typed = _typed(request.POST)
    try:
        brands.change(user=request.user, kit=found, content=_content(typed), seen=typed["seen"])
    except Invalid as error:
        return _kit(request, found, typed, refused=error_text(error), status=422)
    except Conflict as error:
        return _kit(request, found, typed, refused=f"{error_text(error)} {error_hint(error)}", status=409)
    say(request, gettext("The brand kit is saved."))
    return HttpResponseRedirect(resolve_url("brand", slug))


@require_POST
@signed_in
def archive(request: StudioRequest, slug: str) -> HttpResponse:
    """`archived`: 1 takes the kit off the lists, anything else puts it back."""
    found = get_object_or_404(BrandKit.objects.visible_to(request.user).select_related("team"), slug=slug)
    brands.archive(user=request.user, kit=found, archived=request.POST.get("archived") == "1")
    return HttpResponseRedirect(resolve_url("brands"))


def _kit(
    request: StudioRequest, found: BrandKit, typed: dict[str, Any], *, refused: str = "", status: int = 200,
) -> HttpResponse:
    return page(request, "studio/brand.html", {
        "nav": "templates", "kit": found, "typed": typed, "refused": refused, "palette": found.palette,
        "loras": [(name, name in typed["loras"], typed["loras"].get(name, LORA_WEIGHT))
                  for name in guides.lora_names()],
        "may_edit": permissions.decide(request.user, "brand.edit", found.team)}, status=status)


def _typed(data: QueryDict) -> dict[str, Any]:
    """The form's fields; what PostgreSQL can't hold is left out."""
    plain = {name: data.get(name, "").replace("\0", "").strip() for name in (
        "name_zh", "name_en", "style_zh", "style_en", "palette", "blocked", "warned", "seen")}
    return plain | {"loras": {name: data.get(f"weight-{name}", "") for name in data.getlist("lora")[:20]}}


def _shown(content: Content) -> dict[str, Any]:
    """Stored content as the form shows it."""
    return {
        "name_zh": content.name_zh, "name_en": content.name_en, "style_zh": content.style_zh,
        "style_en": content.style_en, "palette": "\n".join(" | ".join(one) for one in content.palette),
        "loras": dict(content.loras), "seen": content.mark,
        **{name: "\n".join(word for word, does in content.words if does == action) for name, action in _LISTS.items()}}


def _content(typed: dict[str, Any]) -> Content:
    """What was typed, as the service takes it. Raises Invalid."""
    palette = []
    for line in typed["palette"].splitlines():
        parts = [part.strip() for part in line.split("|")]
        if any(parts):
            palette.append((parts[0], parts[-2] if len(parts) > 2 else parts[0], parts[-1]))
    words = tuple((word, action) for name, action in _LISTS.items()
                  for line in typed[name].splitlines() if (word := " ".join(line.split())))
    known = set(guides.lora_names())
    return Content(
        typed["name_zh"][:80], typed["name_en"][:80], typed["style_zh"], typed["style_en"], tuple(palette),
        tuple((name, _weight(text)) for name, text in typed["loras"].items() if name in known), words)


def _weight(text: str) -> float:
    try:
        weight = float(text) if text else LORA_WEIGHT
    except ValueError:
        weight = 0.0
    if not 0 < abs(weight) <= MAX_LORA_WEIGHT:
        raise Invalid(gettext("Write the LoRA's weight as a number."), field="loras")
    return weight
