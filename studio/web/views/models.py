"""The models of the installation, for admins: which there are, whether they are whole, which one renders."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db.models import Prefetch
from django.http import Http404, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, resolve_url
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _
from django.views.decorators.http import require_POST, require_safe

from studio import permissions
from studio.domain.engine import GATED, PRECISIONS
from studio.domain.errors import Invalid
from studio.models import ModelEntry, ModelKind, QualityReport, Worker
from studio.services import models
from studio.web import model as shown_model
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.texts import error_hint, error_text, translated
from studio.web.views.admin import administered, administered_team
from studio.web.views.media import send

KINDS = {ModelKind.CHECKPOINT: _("Checkpoint"), ModelKind.LORA: _("LoRA"), ModelKind.CONTROLNET: _("ControlNet")}
FAMILIES = {"turbo": _("Turbo, 8 steps without guidance"), "base": _("Base, with guidance")}
#: Fields of `details` that are shown, and what they are called.
DETAILS = {"version": _("Version"), "rank": _("Rank"), "targets": _("Layers adapted"), "layers": _("Layers")}


@require_safe
@signed_in
def listing(request: StudioRequest) -> HttpResponse:
    """Every model with its state, its quality reports and the workers that have it loaded."""
    return _page(request)


@require_POST
@signed_in
def activate(request: StudioRequest, name: str) -> HttpResponse:
    """Render with this checkpoint from now on."""
    _known(request, name)
    try:
        models.activate(name=name, precision=request.POST.get("precision", ""), user=request.user)
    except Invalid as error:
        return _page(request, refused=(error_text(error), error_hint(error)), status=error.status)
    shown_model.forget()
    say(request, gettext("“%(name)s” is active. Workers take it up before their next picture.") % {"name": name})
    return HttpResponseRedirect(resolve_url("admin-models"))


@require_POST
@signed_in
def check(request: StudioRequest, name: str) -> HttpResponse:
    """Have a worker check the files."""
    _known(request, name)
    models.request_check(user=request.user, name=name)
    say(request, gettext("A worker checks “%(name)s” before its next picture.") % {"name": name})
    return HttpResponseRedirect(resolve_url("admin-models"))


@require_safe
@signed_in
def sheet(request: StudioRequest, pk: int) -> HttpResponseBase:
    """The pictures of a quality report side by side."""
    administered(request)
    report = get_object_or_404(QualityReport.objects.exclude(sheet_key=""), pk=pk)
    return send(report.sheet_key, "image/png", "")


def _known(request: StudioRequest, name: str) -> None:
    """Forbidden for who sees no models, a 404 for a model that is not there."""
    administered(request)
    if not ModelEntry.objects.filter(name=name).exists():
        raise Http404


def _page(request: StudioRequest, *, refused: tuple[str, str] | None = None, status: int = 200) -> HttpResponse:
    team, workers = administered_team(request), list(Worker.objects.ready())
    entries = ModelEntry.objects.order_by("-active", "kind", "name").prefetch_related(
        Prefetch("reports", QualityReport.objects.order_by("-pk")))
    return page(request, "studio/admin_models.html", {
        "nav": "admin", "tab": "models", "teams": administered(request), "team": team, "refused": refused,
        "may": permissions.decide_for_all(request.user, "model.manage"),
        "override": settings.MODEL_DIR if settings.MODEL_DIR_IS_SET else "",
        "entries": [_row(entry, workers) for entry in entries]}, status=status)


def _row(entry: ModelEntry, workers: list[Worker]) -> dict[str, Any]:
    """What the page shows of one entry."""
    problem = entry.problem or {}
    reports = list(entry.reports.all())
    newest: dict[str, QualityReport] = {}
    for report in reversed(reports):
        if report.checksum == entry.sha256:
            newest[report.precision] = report
    passed = {precision for precision, report in newest.items() if report.passed}
    return {
        "entry": entry, "reports": reports[:6], "kind": gettext(KINDS[ModelKind(entry.kind)]),
        "family": gettext(FAMILIES[entry.family]) if entry.family else "",
        "details": [(gettext(label), entry.details[key]) for key, label in DETAILS.items() if key in entry.details],
        "problem": translated(problem["message"], problem["params"]) if problem else "",
        "problem_hint": translated(problem["hint"], problem["params"]) if problem.get("hint") else "",
        "workers": [worker.name for worker in workers if worker.model_sha256 == entry.sha256],
        "checkpoint": entry.kind == ModelKind.CHECKPOINT,
        "precisions": [(name, name in GATED and name not in passed) for name in PRECISIONS]}
