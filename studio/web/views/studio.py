"""The studio page: composer, queue lane, batches; and the fragments that keep it live."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, resolve_url
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from studio import permissions
from studio.domain.errors import Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.states import JobStatus
from studio.models import Campaign, RenderBatch, User
from studio.services import drafts, renders
from studio.web import campaign_bar, composing, helper, model, slots
from studio.web.forms.renders import RenderForm, fresh, typed
from studio.web.http import StudioRequest, page, signed_in
from studio.web.sheets import Waits, lane, mine, pause, sheets, waiting_times

BATCHES_SHOWN = 6
FRAMES_AT_ONCE = 100
ARCHIVED = _("This campaign is archived. Restore it on its overview to render in it.")


def visible_campaign(request: StudioRequest, slug: str) -> Campaign:
    """The campaign, or a 404 for one the person cannot see."""
    return get_object_or_404(Campaign.objects.visible_to(request.user).select_related("team"), slug=slug)


def _context(request: StudioRequest, campaign: Campaign, form: RenderForm) -> dict[str, Any]:
    batches = list(campaign.batches.select_related("requested_by").order_by("-number")[:BATCHES_SHOWN])
    waits = waiting_times()
    return {
        "nav": "create", "tab": "studio", "campaign": campaign,
        "sheets": sheets(campaign, batches, request.user, waits), **_may(request.user, campaign),
        **composing.context(request, campaign, form), **lane(request.user, waits), **pause(campaign),
        **campaign_bar.counts(campaign)}


def _may(user: User, campaign: Campaign) -> dict[str, Any]:
    archived = campaign.status == Campaign.Status.ARCHIVED
    return {"may_render": permissions.Decision(False, ARCHIVED) if archived
            else permissions.decide(user, "render.create", campaign),
            "may_pause": permissions.decide(user, "queue.pause", campaign)}


@require_safe
@signed_in
def studio(request: StudioRequest, slug: str) -> HttpResponse:
    """Compose and watch."""
    campaign = visible_campaign(request, slug)
    form, draft = composing.opened(request, campaign)
    return page(request, "studio/studio.html", _context(request, campaign, form) | {"draft": draft})


@require_POST
@signed_in
def create_render(request: StudioRequest, slug: str) -> HttpResponse:
    """Queue what the composer asks for. htmx gets the new batch and a fresh composer; a form post goes back."""
    campaign = visible_campaign(request, slug)
    permissions.require(request.user, "render.create", campaign)
    data, errors = slots.posted(request, campaign)
    if "choose" in data:
        shown = composing.form_of(campaign, typed(data))
        return _shown(request, campaign, composing.form_of(campaign, composing.chosen(shown, data.get("version", ""))))
    if "expand" in data:
        return _shown(request, campaign, helper.expanded(campaign, data))
    form = RenderForm(data, upload_errors=errors, versions=composing.versions(campaign),
                      why_not_urgent=composing.when(campaign, request.user)["why_not_urgent"])
    if "remove" in data:  # a page without scripts asks for the form with that slot empty
        return page(request, "studio/studio.html", _context(request, campaign, form), status=422)
    batch = None
    if form.is_valid():
        try:
            batch = renders.request_render(
                user=request.user, campaign=campaign, request=form.request(), request_key=form.key,
                card=model.required_card(), today=timezone.localdate(), wanted=form.wanted,
                origin=form.origin())
        except Invalid as error:
            form.refuse(error)
    if batch is None:
        if request.htmx:
            return page(request, "studio/_composer.html", _answer(request, campaign, form), status=422)
        return page(request, "studio/studio.html", _context(request, campaign, form), status=422)
    drafts.discard(user=request.user, campaign=campaign)
    if not request.htmx:
        return HttpResponseRedirect(resolve_url("studio", slug))
    seed = batch.seed if form.cleaned_data["seed_locked"] else None
    renewed = fresh(
        batch, formats=list(form.chosen()), seed=seed, just_sent=True, versions=composing.versions(campaign))
    for name in ("custom_width", "custom_height", "when"):
        renewed.initial[name] = form.cleaned_data[name]
    waits = waiting_times()
    return page(request, "studio/_rendered.html", _answer(request, campaign, renewed, waits) | {
        "sheet": sheets(campaign, [batch], request.user, waits)[0]}, status=202)


def _shown(request: StudioRequest, campaign: Campaign, form: RenderForm) -> HttpResponse:
    """The composer with other fields; nothing was queued."""
    if request.htmx:
        return page(request, "studio/_composer.html", _answer(request, campaign, form))
    return page(request, "studio/studio.html", _context(request, campaign, form))


def _answer(
    request: StudioRequest, campaign: Campaign, form: RenderForm, waits: Waits | None = None,
) -> dict[str, Any]:
    """The composer as an out-of-band fragment."""
    return {"campaign": campaign, "oob": True, **_may(request.user, campaign),
            **composing.context(request, campaign, form), **lane(
                request.user, waiting_times() if waits is None else waits)}


def _ids(request: StudioRequest, name: str) -> set[UUID]:
    """The job ids of a parameter that is given several times; what is no id is left out."""
    found = set()
    for text in request.GET.getlist(name)[:FRAMES_AT_ONCE]:
        with suppress(ValueError):
            found.add(UUID(text))
    return found


@require_safe
@signed_in
def frames(request: StudioRequest, slug: str) -> HttpResponse:
    """Out-of-band fragments: tiles, the queue lane, the batches' heads, the numbers.

    `?job=` (several) asks for tiles; `?wait=` for tiles that the page shows as queued: while they
    are, only their turn is sent. `?alone` leaves out what only the studio page has.
    """
    campaign = visible_campaign(request, slug)
    asked, waiting = _ids(request, "job"), _ids(request, "wait")
    batches = list(campaign.batches.select_related("requested_by").filter(jobs__in=asked | waiting).distinct())
    waits = waiting_times()
    found = sheets(campaign, batches, request.user, waits)
    jobs = [job for sheet in found for job in sheet.jobs]
    turned = [job for job in jobs if job.pk in waiting - asked and job.status == JobStatus.QUEUED]
    return page(request, "studio/_frames.html", {
        "tab": "studio", "campaign": campaign, "sheets": found, "oob": True, "quota": composing.quota(campaign),
        "turned": turned, "jobs": [job for job in jobs if job.pk in asked | waiting and job not in turned],
        **_may(request.user, campaign), **lane(request.user, waits), **pause(campaign),
        **campaign_bar.counts(campaign)})


@require_safe
@signed_in
def batch(request: StudioRequest, slug: str, number: int) -> HttpResponse:
    """One batch: the fragment a page adds when somebody else asked for it; or the studio page of it."""
    campaign = visible_campaign(request, slug)
    found = get_object_or_404(campaign.batches.select_related("requested_by"), number=number)
    return page(request, "studio/batch.html", {
        "nav": "create", "tab": "studio", "campaign": campaign, **_sheet(request, campaign, found), **pause(campaign),
        **campaign_bar.counts(campaign)}, partial="studio/_batch.html")


@require_safe
@signed_in
def batch_by_id(request: StudioRequest, slug: str, pk: int) -> HttpResponse:
    """As `batch`, by the id that an event carries."""
    campaign = visible_campaign(request, slug)
    found = get_object_or_404(campaign.batches.select_related("requested_by"), pk=pk)
    return page(request, "studio/_batch.html", {
        "campaign": campaign, **_sheet(request, campaign, found)})


def _sheet(request: StudioRequest, campaign: Campaign, found: RenderBatch) -> dict[str, Any]:
    """What _batch.html reads."""
    return {"sheet": sheets(campaign, [found], request.user, waiting_times())[0], "mine": mine(request.user),
            **_may(request.user, campaign)}
