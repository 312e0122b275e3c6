"""What people do to renders that wait, run, or have failed: cancel, pause, change the order, ask again."""

from __future__ import annotations

import json
from collections.abc import Callable
from uuid import UUID

from django.http import HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, resolve_url
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_noop as _
from django.views.decorators.http import require_POST

from studio import permissions
from studio.domain.errors import Invalid
from studio.domain.priority import Priority
from studio.domain.states import JobStatus
from studio.models import Campaign, RenderJob
from studio.models.renders import RenderJobQuerySet
from studio.services import renders, steering
from studio.web import model
from studio.web.http import StudioRequest, back, say, signed_in
from studio.web.views.studio import visible_campaign

#: Where a person's renders of a class stand now; the order among the classes stays.
_MOVED: dict[tuple[Priority, bool], str] = {
    (Priority.URGENT, True): _("First of your urgent renders now."),
    (Priority.URGENT, False): _("Last of your urgent renders now."),
    (Priority.NORMAL, True): _("First of your normal renders now."),
    (Priority.NORMAL, False): _("Last of your normal renders now."),
    (Priority.BATCH, True): _("First of your background renders now."),
    (Priority.BATCH, False): _("Last of your background renders now."),
}


def _answer(request: StudioRequest, address: str, text: str) -> HttpResponse:
    """Say `text`: htmx stays on its page and looks again; a form post goes back."""
    if request.htmx:
        said = json.dumps({"frames:refresh": {}, "toast": {"message": text}})
        return HttpResponse(status=204, headers={"HX-Trigger": said})
    say(request, text)
    return HttpResponseRedirect(back(request, address))


def _cancelled(count: int) -> str:
    return ngettext(
        "%(count)d render cancelled. It costs nothing.", "%(count)d renders cancelled. They cost nothing.", count,
    ) % {"count": count}


def _jobs() -> RenderJobQuerySet:
    return RenderJob.objects.select_related("batch", "campaign__team")


def _visible_job(request: StudioRequest, pk: UUID) -> RenderJob:
    """The job, or a 404 for one the person cannot see."""
    return get_object_or_404(_jobs().visible_to(request.user), pk=pk)


def _after_cancel(request: StudioRequest, campaign: Campaign, stopped: int) -> HttpResponse:
    if request.htmx:  # the tiles say it
        return HttpResponse(status=204, headers={"HX-Trigger": "frames:refresh"})
    return _answer(request, resolve_url("studio", campaign.slug), _cancelled(stopped))


@require_POST
@signed_in
def cancel_job(request: StudioRequest, pk: UUID) -> HttpResponse:
    """Cancel one picture."""
    job = _visible_job(request, pk)
    return _after_cancel(request, job.campaign, renders.cancel(user=request.user, jobs=[job]))


@require_POST
@signed_in
def cancel_batch(request: StudioRequest, slug: str, number: int) -> HttpResponse:
    """Cancel what is left of a batch."""
    campaign = visible_campaign(request, slug)
    found = get_object_or_404(campaign.batches, number=number)
    permissions.require(request.user, "render.cancel", campaign)
    jobs = list(_jobs().open().filter(batch=found))
    return _after_cancel(request, campaign, renders.cancel(user=request.user, jobs=jobs))


@require_POST
@signed_in
def cancel_mine(request: StudioRequest) -> HttpResponse:
    """Cancel all that the person has waiting or running, in every campaign."""
    return _answer(request, resolve_url("home"), _cancelled(renders.cancel_mine(user=request.user)))


@require_POST
@signed_in
def retry_job(request: StudioRequest, pk: UUID) -> HttpResponse:
    """Ask once more for a failed or cancelled picture; with `seed=new` for another one of the same words."""
    job = _visible_job(request, pk)
    made = renders.retry(
        user=request.user, job=job, card=model.required_card(), today=timezone.localdate(),
        new_seed=request.POST.get("seed") == "new")
    text = gettext("Asked for again, as batch %(number)d.") % {"number": made.number}
    return _answer(request, resolve_url("studio", job.campaign.slug), text)


def _move(request: StudioRequest, campaign: Campaign, jobs: list[RenderJob]) -> HttpResponse:
    """Put `jobs` where the form says: `to` is "first" or "last"."""
    to = request.POST.get("to")
    if to not in ("first", "last"):
        raise Invalid(_("Renders can be moved first or last, nowhere else."), field="to")
    steering.reorder(user=request.user, jobs=jobs, first=to == "first")
    text = gettext(_MOVED[Priority(jobs[0].priority), to == "first"])
    return _answer(request, resolve_url("studio", campaign.slug), text)


@require_POST
@signed_in
def move_job(request: StudioRequest, pk: UUID) -> HttpResponse:
    """Put one's own waiting picture before one's others, or behind them."""
    job = _visible_job(request, pk)
    return _move(request, job.campaign, [job])


@require_POST
@signed_in
def move_batch(request: StudioRequest, slug: str, number: int) -> HttpResponse:
    """Put what waits of one's own batch before one's others, or behind them."""
    campaign = visible_campaign(request, slug)
    found = get_object_or_404(campaign.batches, number=number)
    jobs = list(_jobs().filter(batch=found).order_by("position"))
    waiting = [job for job in jobs if job.status == JobStatus.QUEUED]
    return _move(request, campaign, waiting or jobs)  # with none waiting, the service says so


@require_POST
@signed_in
def pause(request: StudioRequest, slug: str) -> HttpResponse:
    """Let the campaign's renders wait."""
    return _steer(request, slug, steering.pause, _("Renders are paused. What has begun is still finished."))


@require_POST
@signed_in
def resume(request: StudioRequest, slug: str) -> HttpResponse:
    """Let them go on."""
    return _steer(request, slug, steering.resume, _("Renders go on."))


def _steer(request: StudioRequest, slug: str, service: Callable[..., bool], text: str) -> HttpResponse:
    campaign = visible_campaign(request, slug)
    service(user=request.user, campaign=campaign)  # done already is as good
    return _answer(request, resolve_url("studio", slug), gettext(text))
