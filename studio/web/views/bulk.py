"""Sheets of rows in a campaign: upload, map, check, queue, watch, download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.core.paginator import Paginator
from django.http import Http404, HttpResponse, HttpResponseRedirect, QueryDict, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, resolve_url
from django.utils.http import content_disposition_header
from django.utils.text import slugify
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from studio import permissions, sheetfiles
from studio.domain.errors import Conflict, Forbidden, Invalid, StudioError
from studio.domain.i18n import gettext_noop as _
from studio.domain.spec import MAX_COUNT, STEPS
from studio.domain.states import BulkStatus
from studio.domain.variables import Value
from studio.models import AdFormat, BulkRow, BulkRun, Campaign, RenderJob, TemplateVersion, Worker
from studio.services import bulk, campaigns, feeding, paces
from studio.services.bulkrules import LANGUAGES
from studio.web import archives, campaign_bar, composing
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.sheets import estimate
from studio.web.texts import error_hint, error_text, translated
from studio.web.views.studio import visible_campaign

ROWS_SHOWN = 50
FILTERS = ("all", "ready", "warned", "faulty", "failed")
#: Why rows wait, by the code of the error.
HALTED = {
    "quota_exceeded": _("The team's pictures for this month are used up. It goes on by itself when there are more."),
    "budget_exceeded": _("The campaign's budget is used up. Raise it on the overview, and it goes on by itself."),
}
#: Rows that become batches before the answer; upkeep goes on with the rest.
_AT_ONCE = 5


def visible_run(request: StudioRequest, pk: UUID) -> BulkRun:
    """The run, or a 404 for one the person cannot see."""
    return get_object_or_404(BulkRun.objects.visible_to(request.user).select_related(
        "campaign__team", "campaign__brand_kit", "version__template", "requested_by"), pk=pk)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def listing(request: StudioRequest, slug: str) -> HttpResponse:
    """The campaign's sheets. A post takes one in, from a file or from combinations."""
    campaign = visible_campaign(request, slug)
    if request.method != "POST":
        return _listing(request, campaign)
    permissions.require(request.user, "render.create", campaign)
    try:
        run = _start(request, campaign)
    except Invalid as error:
        return _listing(request, campaign, refused=error_text(error))
    return HttpResponseRedirect(resolve_url("bulk-run", run.pk))


def _start(request: StudioRequest, campaign: Campaign) -> BulkRun:
    wanted = request.POST.get("version", "")
    version = next((one for one in composing.versions(campaign) if str(one.pk) == wanted), None)
    if version is None:
        raise Invalid(gettext("Choose a template: its variables are filled from the columns."), field="version")
    if "matrix" in request.POST:
        return bulk.start_matrix(user=request.user, campaign=campaign, version=version,
                                 values=_values(request.POST, version), name=gettext("Combinations"))
    upload = request.FILES.get("file")
    if upload is None:
        raise Invalid(gettext("Choose a file first."), field="file")
    return bulk.start(user=request.user, campaign=campaign, version=version, name=upload.name or "",
                      data=upload.read(sheetfiles.MAX_BYTES + 1))


def _values(data: QueryDict, version: TemplateVersion) -> dict[str, list[Value]]:
    """One value a line, "Chinese | English" or the same in both."""
    found = {}
    for one in version.text.variables:
        lines = [line.strip() for line in data.get(f"m-{one.name}", "").splitlines() if line.strip()]
        found[one.name] = [Value(*(part.strip() for part in (
            line if "|" in line else f"{line}|{line}").split("|", 1))) for line in lines]
    return found


def _listing(request: StudioRequest, campaign: Campaign, *, refused: str = "") -> HttpResponse:
    versions = list(composing.versions(campaign))
    wanted = request.POST.get("version") or request.GET.get("template", "")
    chosen = next((one for one in versions if str(one.pk) == wanted), None)
    return page(request, "studio/bulk.html", {
        "nav": "create", "tab": "bulk", "campaign": campaign, "versions": versions, "chosen": chosen,
        "matrix": [(one, "\n".join(f"{option.zh} | {option.en}" for option in one.options))
                   for one in chosen.text.variables if one.kind != "picture"] if chosen else [],
        "runs": list(campaign.bulk_runs.select_related("requested_by", "version__template")[:50]), "refused": refused,
        "may_render": permissions.decide(request.user, "render.create", campaign),
        "rows_limit": sheetfiles.MAX_ROWS, **campaign_bar.counts(campaign)}, status=422 if refused else 200)


@require_safe
@signed_in
def run(request: StudioRequest, pk: UUID) -> HttpResponse:
    """One sheet: its columns, its rows with what is wrong, what it costs, how far it is."""
    return _run(request, visible_run(request, pk))


def _run(request: StudioRequest, found: BulkRun, *, refused: str = "", status: int = 200) -> HttpResponse:
    progress = bulk.progress(found)
    wanted = request.GET.get("show", "")
    wanted = wanted if wanted in FILTERS else "all"
    rows = Paginator(_rows(found, wanted), ROWS_SHOWN).get_page(request.GET.get("page"))
    keys = set(request.POST.getlist("formats")) or {preset.pk for preset in found.formats.all()}
    count = request.POST.get("count") or str(found.count)
    each = len(keys) * (int(count) if count.isdecimal() and len(count) < 3 else 0)
    pictures = progress["left"] * each if found.status != BulkStatus.CHECKED else progress["can_render"] * each
    return page(request, "studio/bulk_run.html", {
        "nav": "create", "tab": "bulk", "campaign": found.campaign, "run": found, "progress": progress,
        "rows": [_shown(found, row) for row in rows], "pages": rows, "show": wanted, "filters": FILTERS,
        "presets": AdFormat.objects.filter(active=True), "chosen": keys, "count": count, "count_limit": MAX_COUNT,
        "pictures": pictures, "each": each, "time": _time(found, pictures),
        "quota": composing.quota(found.campaign), "budget_left": campaigns.budget_left(found.campaign),
        "variables": _mapping(found), "refused": refused,
        "halted": _halted(found.halted), "can_queue": found.status == BulkStatus.CHECKED or (
            found.status == BulkStatus.DONE and progress["can_render"] > progress["taken"]),
        "may_render": permissions.decide(request.user, "render.create", found.campaign),
        **campaign_bar.counts(found.campaign)}, partial="studio/_bulk_live.html", status=status)


def _halted(code: str) -> str:
    if code in HALTED:
        return gettext(HALTED[code])
    return gettext("Something keeps the rest waiting (%(code)s). It is tried again every few seconds.") % {
        "code": code} if code else ""


def _time(found: BulkRun, pictures: int) -> str:
    """How long the pictures take all workers that are ready, if that is known."""
    speeds = [1 / pace.ms(pictures=1, steps=found.steps or STEPS)
              for worker in Worker.objects.ready() if (pace := paces.of([worker]))]
    return estimate(pictures / sum(speeds) / 1000) if speeds and pictures else ""


def _rows(found: BulkRun, wanted: str) -> Any:
    rows = BulkRow.objects.filter(run=found).order_by("number")
    match wanted:
        case "ready":
            return rows.filter(usable=True, problems=[])
        case "warned":
            return rows.filter(usable=True).exclude(problems=[])
        case "faulty":
            return rows.filter(usable=False)
        case "failed":
            return rows.filter(pk__in=RenderJob.objects.filter(
                batch__bulk_row__run=found, status="failed").values("batch__bulk_row"))
    return rows


def _shown(found: BulkRun, row: BulkRow) -> dict[str, Any]:
    bad = {problem["column"]: problem["level"] for problem in row.problems}
    cells = [(index, name, row.cells[index] if index < len(row.cells) else "", bad.get(name, ""))
             for index, name in enumerate(found.columns)]
    return {"row": row, "cells": cells, "problems": [
        (problem["level"], problem["column"], translated(problem["message"], problem["params"]))
        for problem in row.problems]}


def _mapping(found: BulkRun) -> list[dict[str, Any]]:
    return [{"variable": one, "zh": found.mapping.get(one.name, {}).get("zh", ""),
             "en": found.mapping.get(one.name, {}).get("en", ""),
             "value": found.mapping.get(one.name, {}).get("value", "")}
            for one in found.version.text.variables if one.kind != "picture"]


@require_POST
@signed_in
def act(request: StudioRequest, pk: UUID) -> HttpResponse:
    """`do`: map, fix, queue, pause, resume, cancel, retry."""
    found, wanted = visible_run(request, pk), request.POST.get("do", "")
    acts = {"map": _map, "fix": _fix, "queue": _queue, "pause": _pause, "resume": _resume, "cancel": _cancel,
            "retry": _retry}
    if wanted not in acts:
        raise Http404
    try:
        acts[wanted](request, found)
    except Forbidden:
        raise
    except (Invalid, Conflict) as error:
        found.refresh_from_db()
        return _run(request, found, refused=f"{error_text(error)} {error_hint(error)}".strip(),
                    status=409 if isinstance(error, Conflict) else 422)
    except StudioError as error:
        say(request, error_text(error))
    return HttpResponseRedirect(f"{resolve_url('bulk-run', pk)}{_query(request)}")


def _query(request: StudioRequest) -> str:
    show = request.POST.get("show", "")
    return f"?show={show}" if show in FILTERS else ""


def _map(request: StudioRequest, found: BulkRun) -> None:
    bulk.remap(user=request.user, run=found, mapping={
        one.name: {key: request.POST.get(f"map-{one.name}-{key}", "") for key in (*LANGUAGES, "value")}
        for one in found.version.text.variables})


def _fix(request: StudioRequest, found: BulkRun) -> None:
    number = request.POST.get("number", "")
    if not (number.isdecimal() and len(number) < 7):
        raise Http404
    bulk.correct(user=request.user, run=found, number=int(number), cells=[
        request.POST.get(f"cell-{index}", "") for index in range(len(found.columns))])


def _queue(request: StudioRequest, found: BulkRun) -> None:
    text, first = request.POST.get("count", ""), request.POST.get("first", "")
    numbers = [int(number) for number in request.POST.getlist("row") if number.isdecimal() and len(number) < 7]
    bulk.queue(
        user=request.user, run=found, count=int(text) if text.isdecimal() and len(text) < 4 else 0,
        formats=list(AdFormat.objects.filter(active=True, key__in=request.POST.getlist("formats"))),
        first=int(first) if first.isdecimal() and len(first) < 6 else None,
        numbers=numbers if "marked" in request.POST else None)
    found.refresh_from_db()
    feeding.feed(found, _AT_ONCE)


def _pause(request: StudioRequest, found: BulkRun) -> None:
    bulk.pause(user=request.user, run=found)


def _resume(request: StudioRequest, found: BulkRun) -> None:
    bulk.resume(user=request.user, run=found)


def _cancel(request: StudioRequest, found: BulkRun) -> None:
    count = bulk.cancel(user=request.user, run=found)
    say(request, gettext("Cancelled; %(count)s waiting pictures cost nothing.") % {"count": count})


def _retry(request: StudioRequest, found: BulkRun) -> None:
    count = bulk.retry(user=request.user, run=found)
    say(request, gettext("%(count)s rows are asked for once more.") % {"count": count})


@require_safe
@signed_in
def corrected(request: StudioRequest, pk: UUID) -> HttpResponseBase:
    """Every row with what is wrong with it, to be corrected in a table program and uploaded again."""
    found = visible_run(request, pk)

    def lines() -> Iterator[list[str]]:
        yield [*found.columns, gettext("Problems")]
        for row in BulkRow.objects.filter(run=found).order_by("number").iterator(500):
            cells = [*row.cells, *[""] * len(found.columns)][:len(found.columns)]
            yield [*cells, "; ".join(translated(one["message"], one["params"]) for one in row.problems)]

    return _download(sheetfiles.write(lines()), "text/csv; charset=utf-8", f"{_stem(found)}-checked.csv")


@require_safe
@signed_in
def results(request: StudioRequest, pk: UUID) -> HttpResponseBase:
    """The finished pictures as a zip with manifest.csv; `?approved` only those."""
    found = visible_run(request, pk)
    return _download(archives.of_run(found, approved="approved" in request.GET), "application/zip",
                     f"{_stem(found)}.zip")


def _stem(found: BulkRun) -> str:
    return slugify(found.name.rsplit(".", 1)[0]) or "sheet"


def _download(chunks: Iterator[bytes], content_type: str, name: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(chunks, headers={
        "Content-Type": content_type, "Content-Disposition": content_disposition_header(True, name) or "",
        "Cache-Control": "private, no-store"})
