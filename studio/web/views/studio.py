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
from studio.domain.guides import Task
from studio.domain.priority import priority_for, why_not_urgent
from studio.domain.prompting import MAX_PROMPT_CHARS
from studio.domain.spec import MAX_COUNT, MAX_PICTURES, MAX_SEED, MAX_STEPS, SAMPLER_LABELS
from studio.domain.states import JobStatus
from studio.models import AdFormat, Asset, Campaign, QuotaAccount, RenderBatch, User
from studio.services import guides, quotas, renders
from studio.templatetags.studio_words import KINDS
from studio.web import campaign_bar, model, slots
from studio.web.forms.renders import CUSTOM, RenderForm, fresh
from studio.web.http import StudioRequest, page, signed_in
from studio.web.sheets import Waits, lane, mine, pause, sheets, waiting_times

BATCHES_SHOWN = 6
FRAMES_AT_ONCE = 100
#: Formats offered first in a campaign that names none.
FORMATS_SHOWN = 5


def visible_campaign(request: StudioRequest, slug: str) -> Campaign:
    """The campaign, or a 404 for one the person cannot see."""
    return get_object_or_404(Campaign.objects.visible_to(request.user).select_related("team"), slug=slug)


def _composer(request: StudioRequest, campaign: Campaign) -> RenderForm:
    reuse = request.GET.get("reuse", "")
    asset = None
    if reuse.isdecimal() and len(reuse) < 18:
        asset = Asset.objects.visible_to(request.user).filter(pk=reuse).select_related("job__batch").first()
    if asset:
        form = fresh(asset.job.batch, formats=[asset.ad_format_id or CUSTOM], seed=asset.job.seed,
                     inputs=asset.campaign_id == campaign.pk)
        if not asset.ad_format_id:
            form.initial.update(custom_width=asset.width, custom_height=asset.height)
        return form
    wanted = list(campaign.formats.filter(active=True).values_list("key", flat=True)[:2])
    last = campaign.batches.filter(requested_by=request.user).order_by("-number").first()
    form = fresh(last, formats=wanted or ["xiaohongshu-3x4"])
    begin = slots.finished(request, campaign, request.GET.get("start", ""))
    if begin:
        form.initial.update(task=Task.IMAGE.value, source=None, mask=None, source_asset=begin)
    return form


def _shaped(presets: list[AdFormat]) -> list[AdFormat]:
    """Give each format the sides of its outline in the composer, in pixels."""
    for preset in presets:
        scale = min(46 / preset.width, 36 / preset.height)
        preset.shape = (max(4, preset.width * scale), max(4, preset.height * scale))  # type: ignore[attr-defined]
    return presets


def _compose(request: StudioRequest, campaign: Campaign, form: RenderForm) -> dict[str, Any]:
    """What _composer.html reads, besides the lane's numbers."""
    wanted = set(campaign.formats.values_list("key", flat=True)) or {p.key for p in form.presets[:FORMATS_SHOWN]}
    presets = _shaped(form.presets)
    chosen = form.chosen()
    count = str(form["count"].value())
    return {
        "form": form, "chosen": chosen, "presets": [preset for preset in presets if preset.key in wanted],
        "others": [preset for preset in presets if preset.key not in wanted],
        "others_chosen": sum(key not in wanted and key != CUSTOM for key in chosen),
        "pictures": len(chosen) * int(count) if count.isdecimal() and len(count) < 4 else 0,
        "prompt_limit": MAX_PROMPT_CHARS, "count_limit": MAX_COUNT, "seed_limit": MAX_SEED,
        "pictures_limit": MAX_PICTURES, "steps_limit": MAX_STEPS, "samplers": SAMPLER_LABELS,
        "model": model.card(), "world": model.world(), "quota": _quota(campaign),
        "has_control": guides.control_available(), "no_control": guides.NO_CONTROL, "kinds": KINDS,
        **_when(campaign, request.user), "slots": slots.filled(
            campaign, {name: form[name].value() for name in slots.ROLES}, form.errors,
            form.initial.get("source_asset")),
    }


def _when(campaign: Campaign, user: User) -> dict[str, Any]:
    """What the choice of a class says: which one "automatic" is now and why, and who can't be urgent why not."""
    today = timezone.localdate()
    return {
        "automatic": priority_for(None, role=None, deadline=campaign.deadline, today=today),
        "days_left": (campaign.deadline - today).days if campaign.deadline else None,
        "why_not_urgent": why_not_urgent(
            role=permissions.role_in(user, campaign.team_id), deadline=campaign.deadline, today=today)}


def _quota(campaign: Campaign) -> QuotaAccount:
    return quotas.account_for(campaign.team, timezone.localdate())


def _context(request: StudioRequest, campaign: Campaign, form: RenderForm) -> dict[str, Any]:
    batches = list(campaign.batches.select_related("requested_by").order_by("-number")[:BATCHES_SHOWN])
    waits = waiting_times()
    return {
        "nav": "create", "tab": "studio", "campaign": campaign,
        "sheets": sheets(campaign, batches, request.user, waits), **_may(request.user, campaign),
        **_compose(request, campaign, form), **lane(request.user, waits), **pause(campaign),
        **campaign_bar.counts(campaign)}


def _may(user: User, campaign: Campaign) -> dict[str, Any]:
    return {"may_render": permissions.decide(user, "render.create", campaign),
            "may_pause": permissions.decide(user, "queue.pause", campaign)}


@require_safe
@signed_in
def studio(request: StudioRequest, slug: str) -> HttpResponse:
    """Compose and watch."""
    campaign = visible_campaign(request, slug)
    return page(request, "studio/studio.html", _context(request, campaign, _composer(request, campaign)))


@require_POST
@signed_in
def create_render(request: StudioRequest, slug: str) -> HttpResponse:
    """Queue what the composer asks for. htmx gets the new batch and a fresh composer; a form post goes back."""
    campaign = visible_campaign(request, slug)
    permissions.require(request.user, "render.create", campaign)
    data, errors = slots.posted(request, campaign)
    form = RenderForm(data, upload_errors=errors, why_not_urgent=_when(campaign, request.user)["why_not_urgent"])
    if "remove" in data:  # a page without scripts asks for the form with that slot empty
        return page(request, "studio/studio.html", _context(request, campaign, form), status=422)
    batch = None
    if form.is_valid():
        try:
            batch = renders.request_render(
                user=request.user, campaign=campaign, request=form.request(), request_key=form.key,
                card=model.required_card(), today=timezone.localdate(), wanted=form.wanted)
        except Invalid as error:
            form.refuse(error)
    if batch is None:
        if request.htmx:
            return page(request, "studio/_composer.html", _answer(request, campaign, form), status=422)
        return page(request, "studio/studio.html", _context(request, campaign, form), status=422)
    if not request.htmx:
        return HttpResponseRedirect(resolve_url("studio", slug))
    seed = batch.seed if form.cleaned_data["seed_locked"] else None
    renewed = fresh(batch, formats=list(form.chosen()), seed=seed, just_sent=True)
    for name in ("custom_width", "custom_height", "when"):
        renewed.initial[name] = form.cleaned_data[name]
    waits = waiting_times()
    return page(request, "studio/_rendered.html", _answer(request, campaign, renewed, waits) | {
        "sheet": sheets(campaign, [batch], request.user, waits)[0]}, status=202)


def _answer(
    request: StudioRequest, campaign: Campaign, form: RenderForm, waits: Waits | None = None,
) -> dict[str, Any]:
    """The composer as an out-of-band fragment."""
    return {"campaign": campaign, "oob": True, **_may(request.user, campaign), **_compose(request, campaign, form),
            **lane(request.user, waiting_times() if waits is None else waits)}


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
        "tab": "studio", "campaign": campaign, "sheets": found, "oob": True, "quota": _quota(campaign),
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
