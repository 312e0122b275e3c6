"""The studio page: composer, queue lane, batches; and the fragments that keep it live."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, resolve_url
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from studio import permissions
from studio.domain.states import JobStatus
from studio.models import AdFormat, Asset, Campaign, RenderBatch, RenderJob, User, Worker
from studio.services import quotas, renders
from studio.web import campaign_bar, model
from studio.web.forms.renders import RenderForm, fresh
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.texts import job_error

BATCHES_SHOWN = 6
FRAMES_AT_ONCE = 100
LANE_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Group:
    """The jobs of one batch in one size."""

    ad_format: AdFormat | None
    width: int
    height: int
    jobs: list[RenderJob]

    @property
    def done(self) -> int:
        """Delivered pictures."""
        return sum(job.status == JobStatus.DONE for job in self.jobs)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A batch as the page shows it."""

    batch: RenderBatch
    groups: list[Group]

    @property
    def jobs(self) -> list[RenderJob]:
        """All pictures, in order."""
        return [job for group in self.groups for job in group.jobs]

    @property
    def done(self) -> int:
        """Delivered pictures."""
        return sum(group.done for group in self.groups)

    @property
    def open(self) -> int:
        """Pictures that are queued or rendering."""
        return sum(job.is_open for job in self.jobs)


def visible_campaign(request: StudioRequest, slug: str) -> Campaign:
    """The campaign, or a 404 for one the person cannot see."""
    return get_object_or_404(Campaign.objects.visible_to(request.user).select_related("team"), slug=slug)


def _jobs(campaign: Campaign) -> Any:
    return RenderJob.objects.filter(campaign=campaign).select_related(
        "batch__requested_by", "ad_format", "asset", "campaign", "team")


def decorate(jobs: list[RenderJob]) -> list[RenderJob]:
    """Give each job what a tile shows besides the row: `turn`, `reason`."""
    turns = renders.turns() if any(job.status == JobStatus.QUEUED for job in jobs) else {}
    for job in jobs:
        job.place = turns.get(job.pk)  # type: ignore[attr-defined]  # read by _frame.html only
        job.reason = job_error(job)  # type: ignore[attr-defined]
    return jobs


def sheets(campaign: Campaign, batches: list[RenderBatch]) -> list[Sheet]:
    """Batches with their pictures grouped by format, in two queries."""
    jobs = decorate(list(_jobs(campaign).filter(batch__in=batches).order_by("batch_id", "position")))
    found = []
    for batch in batches:
        mine = [job for job in jobs if job.batch_id == batch.pk]
        groups = [
            Group(members[0].ad_format, members[0].width, members[0].height, members)
            for _key, members in ((key, list(part)) for key, part in groupby(
                mine, key=lambda job: (job.ad_format_id, job.width, job.height)))]
        found.append(Sheet(batch, groups))
    return found


def lane(user: User) -> dict[str, Any]:
    """Who renders what now, and what waits, over all teams.

    A job of a team that is not the person's gets `hidden`: only that it is there may be shown.
    """
    workers = list(Worker.objects.live().select_related(
        "job__batch__requested_by", "job__campaign", "job__ad_format"))
    waiting = RenderJob.objects.in_turn().select_related("batch__requested_by", "campaign", "ad_format")
    turns = renders.turns()
    head = list(waiting[:LANE_SHOWN])
    for job in [*head, *(worker.job for worker in workers if worker.job)]:
        job.place = turns.get(job.pk)  # type: ignore[attr-defined]  # read by _lane.html only
        job.hidden = not user.is_superuser and job.team_id not in user.roles  # type: ignore[attr-defined]
    return {"workers": workers, "waiting": head,
            "waiting_count": RenderJob.objects.filter(status=JobStatus.QUEUED).count()}


def _composer(request: StudioRequest, campaign: Campaign) -> RenderForm:
    reuse = request.GET.get("reuse", "")
    asset = None
    if reuse.isdecimal() and len(reuse) < 18:
        asset = Asset.objects.visible_to(request.user).filter(pk=reuse).select_related("job__batch").first()
    if asset:
        formats = [asset.ad_format_id] if asset.ad_format_id else []
        return fresh(asset.job.batch, formats=formats, seed=asset.job.seed)
    wanted = list(campaign.formats.filter(active=True).values_list("key", flat=True)[:2])
    last = campaign.batches.filter(requested_by=request.user).order_by("-number").first()
    return fresh(last, formats=wanted or ["xiaohongshu-3x4"])


def _context(request: StudioRequest, campaign: Campaign, form: RenderForm) -> dict[str, Any]:
    batches = list(campaign.batches.select_related("requested_by").order_by("-number")[:BATCHES_SHOWN])
    wanted = set(campaign.formats.values_list("key", flat=True))
    # The campaign's own formats first, then the rest in the table's order.
    presets = sorted(form.presets, key=lambda preset: preset.key not in wanted)
    return {
        "nav": "create", "tab": "studio", "campaign": campaign, "form": form, "presets": presets,
        "chosen": form.chosen(), "campaign_formats": wanted, "sheets": sheets(campaign, batches),
        "quota": quotas.account_for(campaign.team, timezone.localdate()), "model": model.card(),
        "may_render": permissions.decide(request.user, "render.create", campaign),
        **lane(request.user), **campaign_bar.counts(campaign),
    }


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
    form = RenderForm(request.POST)
    if not form.is_valid():
        return page(request, "studio/studio.html", _context(request, campaign, form),
                    partial="studio/_composer.html", status=422)
    batch = renders.request_render(
        user=request.user, campaign=campaign, request=form.request(), request_key=form.key,
        card=model.required_card(), today=timezone.localdate())
    if not request.htmx:
        return HttpResponseRedirect(resolve_url("studio", slug))
    seed = batch.seed if form.cleaned_data["seed_locked"] else None
    renewed = fresh(batch, formats=list(form.chosen()), seed=seed)
    for name in ("custom_width", "custom_height"):
        renewed.initial[name] = form.cleaned_data[name]
    return page(request, "studio/_rendered.html", _context(request, campaign, renewed) | {
        "sheet": sheets(campaign, [batch])[0]}, status=202)


@require_safe
@signed_in
def frames(request: StudioRequest, slug: str) -> HttpResponse:
    """The tiles of `?job=` (several), the queue lane and the batches' heads, as out-of-band fragments."""
    campaign = visible_campaign(request, slug)
    ids = []
    for text in request.GET.getlist("job")[:FRAMES_AT_ONCE]:
        try:
            ids.append(UUID(text))
        except ValueError:
            continue
    jobs = decorate(list(_jobs(campaign).filter(pk__in=ids)))
    batches = list(campaign.batches.select_related("requested_by").filter(pk__in={job.batch_id for job in jobs}))
    return page(request, "studio/_frames.html", {
        "campaign": campaign, "jobs": jobs, "sheets": sheets(campaign, batches), "oob": True,
        "quota": quotas.account_for(campaign.team, timezone.localdate()), **lane(request.user), **campaign_bar.counts(campaign)})


@require_safe
@signed_in
def batch(request: StudioRequest, slug: str, number: int) -> HttpResponse:
    """One batch: the fragment a page adds when somebody else asked for it; or the studio page of it."""
    campaign = visible_campaign(request, slug)
    found = get_object_or_404(campaign.batches.select_related("requested_by"), number=number)
    return page(request, "studio/batch.html", {
        "nav": "create", "tab": "studio", "campaign": campaign, "sheet": sheets(campaign, [found])[0],
        **campaign_bar.counts(campaign)}, partial="studio/_batch.html")


@require_safe
@signed_in
def batch_by_id(request: StudioRequest, slug: str, pk: int) -> HttpResponse:
    """As `batch`, by the id that an event carries."""
    campaign = visible_campaign(request, slug)
    found = get_object_or_404(campaign.batches.select_related("requested_by"), pk=pk)
    return page(request, "studio/_batch.html", {"campaign": campaign, "sheet": sheets(campaign, [found])[0]})


@require_POST
@signed_in
def cancel_job(request: StudioRequest, pk: UUID) -> HttpResponse:
    """Cancel one picture."""
    job = get_object_or_404(
        RenderJob.objects.visible_to(request.user).select_related("batch", "campaign__team"), pk=pk)
    stopped = renders.cancel(user=request.user, jobs=[job])
    return _after_cancel(request, job.campaign, stopped)


@require_POST
@signed_in
def cancel_batch(request: StudioRequest, slug: str, number: int) -> HttpResponse:
    """Cancel what is left of a batch."""
    campaign = visible_campaign(request, slug)
    found = get_object_or_404(campaign.batches, number=number)
    jobs = list(RenderJob.objects.open().filter(batch=found).select_related("batch", "campaign__team"))
    return _after_cancel(request, campaign, renders.cancel(user=request.user, jobs=jobs))


def _after_cancel(request: StudioRequest, campaign: Campaign, stopped: int) -> HttpResponse:
    if request.htmx:  # the tiles follow through the socket
        return HttpResponse(status=204, headers={"HX-Trigger": "frames:refresh"})
    say(request, gettext("%(count)d renders cancelled. They cost nothing.") % {"count": stopped})
    return HttpResponseRedirect(resolve_url("studio", campaign.slug))


@require_POST
@signed_in
def retry_job(request: StudioRequest, pk: UUID) -> HttpResponse:
    """Ask once more for a failed or cancelled picture."""
    job = get_object_or_404(
        RenderJob.objects.visible_to(request.user).select_related("batch", "campaign__team"), pk=pk)
    renders.retry(user=request.user, job=job, card=model.required_card(), today=timezone.localdate())
    if request.htmx:  # the new batch follows through the socket
        return HttpResponse(status=204)
    return HttpResponseRedirect(resolve_url("studio", job.campaign.slug))
