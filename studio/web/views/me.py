"""A person's own settings."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils import translation
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from studio.services import accounts
from studio.web.http import StudioRequest, back, page, say, signed_in


@require_safe
@signed_in
def me(request: StudioRequest) -> HttpResponse:
    """Language, theme, keys, teams, password, sign out."""
    memberships = request.user.memberships.select_related("team").order_by("team__slug")
    return page(request, "studio/me.html", {"nav": "me", "memberships": memberships})


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Switch the interface language; kept with the person, and in a cookie for the sign-in page."""
    chosen = request.POST.get("language", "")
    if chosen not in dict(settings.LANGUAGES):
        chosen = translation.get_language_from_request(request)
    if request.user.is_authenticated:
        accounts.change_settings(user=request.user, language=chosen)
    response = HttpResponseRedirect(back(request, resolve_url("home")))
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME, chosen, max_age=365 * 86400, samesite="Lax", secure=settings.HTTPS_ONLY)
    return response


@require_POST
@signed_in
def theme(request: StudioRequest) -> HttpResponse:
    """Light, dark, or as the system has it."""
    chosen = request.POST.get("theme", "")
    accounts.change_settings(user=request.user, theme=chosen if chosen in ("auto", "light", "dark") else "auto")
    if request.htmx:  # the page has turned already
        return HttpResponse(status=204)
    return HttpResponseRedirect(back(request, resolve_url("me")))


@require_POST
@signed_in
def hotkeys(request: StudioRequest) -> HttpResponse:
    """Single-key shortcuts on or off (WCAG 2.1.4)."""
    accounts.change_settings(user=request.user, hotkeys=request.POST.get("hotkeys") == "on")
    say(request, gettext("Saved."))
    return HttpResponseRedirect(resolve_url("me"))
