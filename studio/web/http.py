"""What every view uses: the typed request, the sign-in gate, pages and partials."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django_htmx.middleware import HtmxDetails

from studio.models import User

P = ParamSpec("P")


class StudioRequest(HttpRequest):
    """A request of a signed-in person."""

    user: User
    htmx: HtmxDetails


def signed_in(
    view: Callable[Concatenate[StudioRequest, P], HttpResponseBase],
) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
    """Send strangers to the sign-in page and back here; htmx leaves the page as a whole."""

    @wraps(view)
    def gate(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)  # type: ignore[arg-type]  # that is the narrowing
        htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]  # HtmxMiddleware sets it
        # A fragment or a POST is nothing to come back to: go to the page it came from.
        back = _origin(request, htmx) if htmx or request.method != "GET" else request.get_full_path()
        if htmx:
            login = f"{resolve_url('account_login')}?{urlencode({'next': back})}"
            return HttpResponse(status=401, headers={"HX-Redirect": login})
        return redirect_to_login(back, resolve_url("account_login"))

    return gate  # type: ignore[return-value]  # `wraps` keeps the narrower request in its type


def _origin(request: HttpRequest, htmx: HtmxDetails) -> str:
    """The page of this studio that a request was sent from; the home page when the browser doesn't say."""
    try:
        found = shown_page(htmx) if htmx else urlsplit(request.headers.get("Referer", "")).path
    except ValueError:  # not an address
        found = ""
    return found or resolve_url("home")


def shown_page(htmx: HtmxDetails) -> str:
    """The path of this studio's page that htmx sent the request from; empty when it doesn't say."""
    try:
        return htmx.current_url_abs_path or ""
    except ValueError:  # not an address
        return ""


def page(
    request: HttpRequest, template: str, context: dict[str, Any], *, partial: str = "", status: int = 200,
) -> HttpResponse:
    """Render the page, or only its partial when htmx asks. Both roads render the same partial file."""
    htmx: HtmxDetails = request.htmx  # type: ignore[attr-defined]  # HtmxMiddleware sets it
    name = partial if partial and htmx and not htmx.history_restore_request else template
    response = render(request, name, context, status=status)
    response.headers["Vary"] = "HX-Request, Cookie, Accept-Language"
    response.headers.setdefault("Cache-Control", "private, no-store")
    return response


def back(request: HttpRequest, default: str) -> str:
    """A safe address to return to: the form's `next`, else `default`."""
    target = request.POST.get("next", "")
    ok = url_has_allowed_host_and_scheme(target, {request.get_host()}, require_https=request.is_secure())
    return target if ok else default


def say(request: HttpRequest, text: str, *, undo: str = "") -> None:
    """Show a toast on the next page; `undo` is the address a POST of which takes it back."""
    messages.success(request, text, extra_tags=f"undo:{undo}" if undo else "")
