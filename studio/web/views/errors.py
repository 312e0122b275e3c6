"""Refusals that Django itself raises."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form's token is missing or old: say so, with a way on."""
    return render(request, "403_csrf.html", status=403)
