"""What the shell around every page shows."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from studio import permissions
from studio.domain.roles import ROLE_LABELS, Role
from studio.models import Review, User, Worker
from studio.web.model import card


def shell(request: HttpRequest) -> dict[str, Any]:
    """Navigation, worker state and the demo notes. Three small queries for a signed-in person."""
    user = getattr(request, "user", None)
    if not isinstance(user, User) or not user.is_authenticated:
        return {"demo_accounts": _demo_accounts()}
    reviewing = permissions.teams_with(user, "asset.review")
    waiting = Review.objects.open().filter(asset__campaign__team__in=reviewing).exclude(author=user)
    model = card()
    return {
        "nav_admin": bool(permissions.teams_with(user, "usage.view")),
        "nav_review_count": waiting.count() if reviewing else 0,
        "workers_ready": Worker.objects.ready().count(),
        "demo_model": model is not None and model.demo,
    }


def _demo_accounts() -> list[dict[str, str]]:
    """Demo people of the embedded shape, for the sign-in page; never their passwords."""
    file = settings.VAR_DIR / "demo-logins.json"
    if not settings.EMBEDDED or not file.exists():
        return []
    accounts = json.loads(file.read_text(encoding="utf-8"))["accounts"]
    return [{"role_label": ROLE_LABELS[Role(a["role"])], "email": a["email"]} for a in accounts]
