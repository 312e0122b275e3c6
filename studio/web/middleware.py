"""Headers, language, and expected failures as pages."""

from __future__ import annotations

import json
from collections.abc import Callable
from time import perf_counter
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation
from django.utils.encoding import escape_uri_path

from studio import tracing
from studio.domain.errors import StudioError
from studio.web.texts import error_hint, error_text

log = structlog.get_logger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponse]

#: Longest path in a log line.
LOGGED_PATH = 300

# Style attributes carry numbers (step, ratio, pin position); style elements and scripts come from files only.
_CSP = "; ".join((
    "default-src 'self'", "script-src 'self'", "style-src 'self'", "style-src-attr 'unsafe-inline'",
    "img-src {img}", "connect-src 'self'", "object-src 'none'", "base-uri 'none'",
    "form-action 'self'", "frame-ancestors 'none'"))


def _store(options: Any) -> str:
    """Where the object store's signed links lead: its endpoint, or the bucket's own host below it."""
    if settings.STORAGE == "local":
        return ""
    endpoint = options.get("endpoint_url")
    if not endpoint:
        return "https:"  # Amazon's host depends on the region
    scheme, host = endpoint.split("://", 1)
    return f"{endpoint} {scheme}://{options['bucket_name']}.{host}"


def content_security_policy(get_response: GetResponse) -> GetResponse:
    """Nothing from elsewhere runs here. Pictures may come from the object store's signed links."""
    options: Any = settings.STORAGES["default"].get("OPTIONS", {})
    policy = _CSP.format(img=f"'self' data: blob: {_store(options)}".strip())

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
        return response

    return middleware


def request_log(get_response: GetResponse) -> GetResponse:
    """One log line per request. Its id goes with all that is logged and queued meanwhile, and back in a header."""

    def middleware(request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        request_id = tracing.begin(request.headers.get("X-Request-ID", ""))
        response = get_response(request)
        response.headers["X-Request-ID"] = request_id
        log.info("request", method=request.method, path=_logged_path(request), status=response.status_code,
                 ms=round((perf_counter() - began) * 1000, 1))
        return response

    return middleware


def _logged_path(request: HttpRequest) -> str:
    """The path in plain ASCII and without what opens doors: whoever reads the log must not reset a password."""
    path = request.path
    if request.resolver_match and (key := request.resolver_match.kwargs.get("key")):
        path = path.replace(key, "...")
    return escape_uri_path(path)[:LOGGED_PATH]


def person_in_log(get_response: GetResponse) -> GetResponse:
    """Who asks stands in the request's log lines, as a number; None is nobody. Reads the session."""

    def middleware(request: HttpRequest) -> HttpResponse:
        tracing.bind(user=request.user.pk)
        return get_response(request)

    return middleware


def language(get_response: GetResponse) -> GetResponse:
    """The person's language; a stranger's cookie; else the browser's."""

    def middleware(request: HttpRequest) -> HttpResponse:
        chosen = getattr(request.user, "language", "") or translation.get_language_from_request(request)
        with translation.override(chosen):
            request.LANGUAGE_CODE = translation.get_language() or settings.LANGUAGE_CODE
            response = get_response(request)
        response.headers.setdefault("Content-Language", request.LANGUAGE_CODE)
        return response

    return middleware


class StudioErrors:
    """Turns a StudioError into a page, or into a fragment for htmx. Anything else stays a traceback."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer expected failures with their own status and words."""
        if not isinstance(exception, StudioError):
            return None
        title, hint = error_text(exception), error_hint(exception)
        if getattr(request, "htmx", False):
            # The page stays as it is; only the message is added (static/js/toast.js).
            toast = {"toast": {"message": f"{title} {hint}".strip(), "kind": "bad"}}
            return HttpResponse(
                status=exception.status, headers={"HX-Trigger": json.dumps(toast), "HX-Reswap": "none"})
        return render(
            request, "studio/error.html", {"status": exception.status, "title": title, "hint": hint},
            status=exception.status)
