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
from studio.domain.prompting import MAX_PROMPT_CHARS
from studio.domain.spec import MAX_COUNT, MAX_PICTURES, MAX_SEED
from studio.domain.states import JobStatus
from studio.models import AdFormat, Asset, Campaign, QuotaAccount, RenderBatch, RenderJob, User, Worker
from studio.services import quotas, renders
from studio.web import campaign_bar, model
from studio.web.forms.renders import CUSTOM, RenderForm, fresh
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.texts import job_error

BATCHES_SHOWN = 6
FRAMES_AT_ONCE = 100
LANE_SHOWN = 8
#: Formats offered first in a campaign that names none.
FORMATS_SHOWN = 5


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

    @property
    def shape(self) -> str:
        """How the pictures stand on the sheet: a skyscraper and a banner need columns of their own."""
        ratio = self.width / self.height
        return "tall" if ratio < 0.45 else "slim" if ratio > 3.2 else "wide" if ratio > 1.7 else "even"

    @property
    def key(self) -> str:
        """Names the group in the page."""
        return f"{self.jobs[0].batch_id}-{self.jobs[0].position}"


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
    def open(self) -> list[RenderJob]:
        """Pictures that are queued or rendering."""
        return [job for job in self.jobs if job.is_open]

    @property
    def status(self) -> str:
        """One state for the head of the batch."""
        if self.open:
            return "running" if self.done or any(job.status == JobStatus.RUNNING for job in self.jobs) else "queued"
        if self.done:
            return "done"
        return "failed" if any(job.status == JobStatus.FAILED for job in self.jobs) else "cancelled"

    @property
    def last_seed(self) -> int:
        """The highest seed used; the first is the batch's."""
        return self.groups[0].jobs[-1].seed if self.groups else self.batch.seed

    @property
    def may_cancel(self) -> permissions.Decision:
        """Whether what is left may be cancelled; as `decorate` found."""
        return next(iter(self.open)).may_cancel  # type: ignore[attr-defined,no-any-return]


def visible_campaign(request: StudioRequest, slug: str) -> Campaign:
    """The campaign, or a 404 for one the person cannot see."""
    return get_object_or_404(Campaign.objects.visible_to(request.user).select_related("team"), slug=slug)


def _jobs(campaign: Campaign) -> Any:
    return RenderJob.objects.filter(campaign=campaign).select_related(
        "batch__requested_by", "ad_format", "asset", "campaign", "team")


def decorate(jobs: list[RenderJob], user: User) -> list[RenderJob]:
    """Give each job what a tile shows besides the row: `place`, `wait`, `reason`, `took`, `may_cancel`."""
    turns = renders.turns() if any(job.status == JobStatus.QUEUED for job in jobs) else {}
    for job in jobs:
        place(job, turns)
        job.reason = job_error(job)  # type: ignore[attr-defined]  # these four are read by _frame.html only
        job.took = None  # type: ignore[attr-defined]
        if job.started_at and job.finished_at:
            job.took = (job.finished_at - job.started_at).total_seconds() * 1000  # type: ignore[attr-defined]
        if job.is_open:
            job.may_cancel = permissions.decide(user, "render.cancel", job)  # type: ignore[attr-defined]
    return jobs


def place(job: RenderJob, turns: dict[UUID, renders.Turn]) -> None:
    """Give a job its turn (`place`; None when it does not wait or waits far back) and the wait in words."""
    turn = turns.get(job.pk)
    job.place = turn  # type: ignore[attr-defined]  # read by templates only
    job.wait = estimate(turn.seconds) if turn else ""  # type: ignore[attr-defined]


def estimate(seconds: float) -> str:
    """A guess of a time, no more exact than it is: "0.6 s", "14 s", "3 min"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def sheets(campaign: Campaign, batches: list[RenderBatch], user: User) -> list[Sheet]:
    """Batches with their pictures grouped by format, in two queries."""
    jobs = decorate(list(_jobs(campaign).filter(batch__in=batches).order_by("batch_id", "position")), user)
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
    turns = renders.turns()
    waiting = list(RenderJob.objects.in_turn().select_related(
        "batch__requested_by", "campaign", "ad_format")[:LANE_SHOWN]) if turns else []
    for job in [*waiting, *(worker.job for worker in workers if worker.job)]:
        place(job, turns)
        job.hidden = not user.is_superuser and job.team_id not in user.roles  # type: ignore[attr-defined]
    count = RenderJob.objects.filter(status=JobStatus.QUEUED).count() if turns else 0
    means = [worker.mean_ms for worker in workers if worker.mean_ms]
    return {"workers": workers, "waiting": waiting, "waiting_count": count, "waiting_more": count - len(waiting),
            "mean_ms": sum(means) / len(means) if means else 0}


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
        "pictures_limit": MAX_PICTURES, "model": model.card(), "quota": _quota(campaign),
    }


def _quota(campaign: Campaign) -> QuotaAccount:
    return quotas.account_for(campaign.team, timezone.localdate())


def _context(request: StudioRequest, campaign: Campaign, form: RenderForm) -> dict[str, Any]:
    batches = list(campaign.batches.select_related("requested_by").order_by("-number")[:BATCHES_SHOWN])
    return {
        "nav": "create", "tab": "studio", "campaign": campaign, "sheets": sheets(campaign, batches, request.user),
        **_may(request.user, campaign), **_compose(request, campaign, form), **lane(request.user),
        **campaign_bar.counts(campaign)}


def _may(user: User, campaign: Campaign) -> dict[str, Any]:
    return {"may_render": permissions.decide(user, "render.create", campaign)}


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
        if request.htmx:
            return page(request, "studio/_composer.html", _answer(request, campaign, form), status=422)
        return page(request, "studio/studio.html", _context(request, campaign, form), status=422)
    batch = renders.request_render(
        user=request.user, campaign=campaign, request=form.request(), request_key=form.key,
        card=model.required_card(), today=timezone.localdate())
    if not request.htmx:
        return HttpResponseRedirect(resolve_url("studio", slug))
    seed = batch.seed if form.cleaned_data["seed_locked"] else None
    renewed = fresh(batch, formats=list(form.chosen()), seed=seed)
    for name in ("custom_width", "custom_height"):
        renewed.initial[name] = form.cleaned_data[name]
    return page(request, "studio/_rendered.html", _answer(request, campaign, renewed) | {
        "sheet": sheets(campaign, [batch], request.user)[0]}, status=202)


def _answer(request: StudioRequest, campaign: Campaign, form: RenderForm) -> dict[str, Any]:
    """The composer as an out-of-band fragment."""
    return {"campaign": campaign, "oob": True, **_may(request.user, campaign), **_compose(request, campaign, form),
            **lane(request.user)}


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
    batches = list(campaign.batches.select_related("requested_by").filter(jobs__in=ids).distinct())
    found = sheets(campaign, batches, request.user)
    asked = set(ids)
    return page(request, "studio/_frames.html", {
        "tab": "studio", "campaign": campaign, "sheets": found, "oob": True, "quota": _quota(campaign),
        "jobs": [job for sheet in found for job in sheet.jobs if job.pk in asked],
        **_may(request.user, campaign), **lane(request.user), **campaign_bar.counts(campaign)})


@require_safe
@signed_in
def batch(request: StudioRequest, slug: str, number: int) -> HttpResponse:
    """One batch: the fragment a page adds when somebody else asked for it; or the studio page of it."""
    campaign = visible_campaign(request, slug)
    found = get_object_or_404(campaign.batches.select_related("requested_by"), number=number)
    return page(request, "studio/batch.html", {
        "nav": "create", "tab": "studio", "campaign": campaign, "sheet": sheets(campaign, [found], request.user)[0],
        **_may(request.user, campaign), **campaign_bar.counts(campaign)}, partial="studio/_batch.html")


@require_safe
@signed_in
def batch_by_id(request: StudioRequest, slug: str, pk: int) -> HttpResponse:
    """As `batch`, by the id that an event carries."""
    campaign = visible_campaign(request, slug)
    found = get_object_or_404(campaign.batches.select_related("requested_by"), pk=pk)
    return page(request, "studio/_batch.html", {
        "campaign": campaign, "sheet": sheets(campaign, [found], request.user)[0], **_may(request.user, campaign)})


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
