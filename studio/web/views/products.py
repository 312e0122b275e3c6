"""The page of a team's products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, resolve_url
from django.utils.http import urlencode
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from studio import permissions
from studio.domain.errors import Conflict, Invalid
from studio.domain.productfiles import MAX_FILE_BYTES, InRow, Row
from studio.models import Product, Team
from studio.services import products
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.texts import error_text

#: Products on the page; the rest is found by searching.
SHOWN = 200


@dataclass(frozen=True, slots=True)
class Typed:
    """A row as it was typed; `error` is the field that is wrong."""

    pk: int
    sku: str = ""
    name_zh: str = ""
    name_en: str = ""
    error: str = ""


def _teams(request: StudioRequest) -> list[Team]:
    found = Team.objects.all() if request.user.is_superuser else Team.objects.filter(memberships__user=request.user)
    return list(found.order_by("slug"))


def _team(request: StudioRequest, wanted: str) -> Team:
    """The person's team of this address, or without one the first of theirs; else a 404."""
    found = next((team for team in _teams(request) if not wanted or team.slug == wanted), None)
    if found is None:
        raise Http404
    return found


@require_safe
@signed_in
def listing(request: StudioRequest) -> HttpResponse:
    """A team's products; those who make pictures change them in place."""
    return _page(request, _team(request, request.GET.get("team", "")))


def _page(request: StudioRequest, team: Team, *, refused: str = "", typed: Typed | None = None) -> HttpResponse:
    asked = request.GET.get("q", "").replace("\0", "").strip()[:80]
    found = Product.objects.filter(team=team)
    if asked:
        found = found.filter(Q(sku__icontains=asked) | Q(name_zh__icontains=asked) | Q(name_en__icontains=asked))
    count = found.count()
    rows: list[Any] = [typed if typed and typed.pk == one.pk else one for one in found[:SHOWN]]
    return page(request, "studio/products.html", {
        "nav": "templates", "team": team, "teams": _teams(request), "products": rows, "more": max(0, count - SHOWN),
        "asked": asked, "refused": refused, "fresh": typed if typed and not typed.pk else Typed(0),
        "may_edit": permissions.decide(request.user, products.VERB, team)}, status=422 if refused else 200)


def _typed(request: StudioRequest, pk: int, error: str = "") -> Typed:
    data = request.POST
    return Typed(pk, data.get("sku", ""), data.get("name_zh", ""), data.get("name_en", ""), error)


def _row(request: StudioRequest) -> Row:
    typed = _typed(request, 0)
    return Row(typed.sku, typed.name_zh, typed.name_en)


def _back(team: Team) -> HttpResponse:
    return HttpResponseRedirect(f"{resolve_url('products')}?{urlencode({'team': team.slug})}")


@require_POST
@signed_in
def add(request: StudioRequest) -> HttpResponse:
    """Add one."""
    team = _team(request, request.POST.get("team", ""))
    permissions.require(request.user, products.VERB, team)
    try:
        made = products.add(user=request.user, team=team, row=_row(request))
    except Invalid as error:
        return _page(request, team, refused=error_text(error), typed=_typed(request, 0, error.field))
    say(request, gettext("“%(product)s” is added.") % {"product": made.sku})
    return _back(team)


@require_POST
@signed_in
def change(request: StudioRequest, pk: int) -> HttpResponse:
    """Change one, or with `do=remove` take it off the list."""
    product = get_object_or_404(Product.objects.filter(team__in=_teams(request)).select_related("team"), pk=pk)
    permissions.require(request.user, products.VERB, product.team)
    if request.POST.get("do") == "remove":
        products.remove(user=request.user, product=product)
        say(request, gettext("“%(product)s” is removed. Pictures made with it stay as they are.") % {
            "product": product.sku})
        return _back(product.team)
    try:
        if products.change(user=request.user, product=product, row=_row(request)):
            say(request, gettext("“%(product)s” is saved.") % {"product": request.POST.get("sku", "").strip()})
    except Conflict as error:
        return _page(request, product.team, refused=error_text(error))
    except Invalid as error:
        return _page(request, product.team, refused=error_text(error), typed=_typed(request, pk, error.field))
    return _back(product.team)


@require_POST
@signed_in
def take_in(request: StudioRequest) -> HttpResponse:
    """Read a table of products: all of it or nothing."""
    team = _team(request, request.POST.get("team", ""))
    permissions.require(request.user, products.VERB, team)
    upload = request.FILES.get("file")
    try:
        data = upload.read(MAX_FILE_BYTES + 1) if upload else b""
        added, changed = products.take_in(user=request.user, team=team, data=data)
    except InRow as error:
        return _page(request, team, refused=f"{error_text(error)} {error_text(error.reason)}")
    except Invalid as error:
        return _page(request, team, refused=error_text(error))
    say(request, gettext("Products added: %(added)d, changed: %(changed)d.") % {"added": added, "changed": changed})
    return _back(team)
