"""Refusals that Django itself raises, and faults."""

from __future__ import annotations

import json
import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader
from django.utils.translation import gettext

#: Seconds after which a browser or a program may ask again.
AGAIN = "5"


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form's token is missing or old: say so, with a way on."""
    return render(request, "403_csrf.html", status=403)


def fault(request: HttpRequest) -> HttpResponse:
    """What went wrong unexpectedly: 503 while the database is away, else 500. Reads nothing from it for the page."""
    if not isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return HttpResponse(loader.get_template("500.html").render(), status=500)
    headers = {"Retry-After": AGAIN}
    if request.headers.get("HX-Request"):
        # The page stays as it is; only the message is added (static/js/toast.js).
        message = gettext("The studio's data can't be reached right now. Nothing was lost; try again in a moment.")
        headers |= {"HX-Trigger": json.dumps({"toast": {"message": message, "kind": "bad"}}), "HX-Reswap": "none"}
        return HttpResponse(status=503, headers=headers)
    return HttpResponse(loader.get_template("503.html").render(), status=503, headers=headers)
