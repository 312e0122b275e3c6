"""The words that all teams are held to: seen by every admin, changed by admins of every team."""

from __future__ import annotations

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, resolve_url
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from studio import permissions
from studio.domain.errors import Invalid
from studio.models import Term
from studio.services import terms
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.texts import error_text
from studio.web.views.admin import administered, administered_team


@require_safe
@signed_in
def listing(request: StudioRequest) -> HttpResponse:
    """The list."""
    return _page(request)


def _page(request: StudioRequest, *, refused: str = "") -> HttpResponse:
    team = administered_team(request)
    return page(request, "studio/admin_words.html", {
        "nav": "admin", "tab": "words", "teams": administered(request), "team": team, "refused": refused,
        "terms": Term.objects.filter(kit=None).order_by("action", "text"), "typed": request.POST,
        "may_change": permissions.decide_for_all(request.user, "term.manage")}, status=422 if refused else 200)


@require_POST
@signed_in
def add(request: StudioRequest) -> HttpResponse:
    """Put a word on the list."""
    try:
        made = terms.add(user=request.user, text=request.POST.get("text", ""),
                         action=request.POST.get("action", ""), source=request.POST.get("source", ""))
    except Invalid as error:
        return _page(request, refused=error_text(error))
    say(request, gettext("“%(word)s” is on the list.") % {"word": made.text})
    return HttpResponseRedirect(resolve_url("admin-words"))


@require_POST
@signed_in
def change(request: StudioRequest, pk: int) -> HttpResponse:
    """`action`: block, warn, or remove."""
    permissions.require_for_all(request.user, "term.manage")
    term = get_object_or_404(Term, pk=pk, kit=None)
    action = request.POST.get("action", "")
    try:
        if action == "remove":
            terms.remove(user=request.user, term=term)
        else:
            terms.change(user=request.user, term=term, action=action)
    except Invalid as error:
        return _page(request, refused=error_text(error))
    return HttpResponseRedirect(resolve_url("admin-words"))
