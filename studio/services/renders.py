"""What people do with renders: ask, cancel, ask again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from itertools import count
from secrets import randbelow
from uuid import UUID, uuid5

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q
from django.utils import timezone

from studio import notify, permissions, queue, tracing
from studio.domain.errors import Conflict, Forbidden, QueueFull
from studio.domain.guides import ControlKind, ControlRequest, LoraRequest, StartRequest
from studio.domain.i18n import gettext_noop as _
from studio.domain.modelcard import ModelCard
from studio.domain.priority import Priority, priority_for
from studio.domain.spec import MAX_SEED, RenderRequest, Target
from studio.domain.states import JobStatus
from studio.domain.variables import Value
from studio.models import (
    Asset,
    BulkRow,
    Campaign,
    QuotaAccount,
    RenderBatch,
    RenderJob,
    Share,
    TemplateVersion,
    User,
    Worker,
)
from studio.services import activity, brands, campaigns, dispatch, guides, inputs, quotas

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Origin:
    """What a batch was written with: a template and the values of its variables, and the sheet's line they stood in."""

    version: TemplateVersion | None = None
    values: dict[str, Value] = field(default_factory=dict)
    bulk_row: BulkRow | None = None

    @classmethod
    def of(cls, batch: RenderBatch) -> Origin:
        """That of an earlier batch."""
        return cls(batch.version, {name: Value(**value) for name, value in batch.values.items()}, batch.bulk_row)


#: Words of one's own.
OWN_WORDS = Origin()


def request_render(
    *, user: User, campaign: Campaign, request: RenderRequest, request_key: UUID, card: ModelCard, today: date,
    again_of: Asset | None = None, wanted: Priority | None = None, origin: Origin = OWN_WORDS,
) -> RenderBatch:
    """Queue the pictures of `request` and reserve their quota, all or nothing.

    The same `request_key` from the same person is the same batch, however often it is sent.
    `again_of` is the picture that is rendered once more, at the size at which it was rendered where `card`
    still renders that. `wanted` is the class that the person wishes for; None leaves it to the deadline.
    Raises Forbidden, Invalid (what is asked for can't be done here), Conflict (archived campaign, key
    used elsewhere), QueueFull, QuotaExceeded or BudgetExceeded; then nothing is queued and nothing charged.
    """
    order = Order.of(
        user=user, campaign=campaign, request=request, card=card, today=today, wanted=wanted, origin=origin)
    try:
        with transaction.atomic(durable=True):
            batch = order.place(request_key, again_of=again_of, origin=origin)
            notify.batch_created(campaign.pk, batch.pk)
            transaction.on_commit(lambda: wake(request.pictures))
    except IntegrityError:
        return _sent_before(user, campaign, request_key)
    log.info("render.requested", batch=batch.pk, pictures=request.pictures)
    return batch


@dataclass(frozen=True, slots=True)
class Order:
    """A request that was checked as far as it can be before anything is written."""

    user: User
    campaign: Campaign
    request: RenderRequest
    card: ModelCard
    priority: Priority
    account: QuotaAccount

    @classmethod
    def of(
        cls, *, user: User, campaign: Campaign, request: RenderRequest, card: ModelCard, today: date,
        wanted: Priority | None = None, origin: Origin = OWN_WORDS,
    ) -> Order:
        """With the brand's style. Raises Forbidden, Invalid."""
        permissions.require(user, "render.create", campaign)
        brands.require_clean(request, origin.values, campaign.brand_kit)
        request = brands.dress(request, campaign.brand_kit)
        priority = priority_for(wanted, role=permissions.role_in(user, campaign.team_id),
                                deadline=campaign.deadline, today=today)
        guides.check(request=request, card=card)
        return cls(user, campaign, request, card, priority, quotas.account_for(campaign.team, today))

    def place(self, request_key: UUID, *, again_of: Asset | None = None, origin: Origin = OWN_WORDS) -> RenderBatch:
        """Queue it inside the caller's transaction, which it may spoil.

        Raises Invalid, Conflict, QueueFull, QuotaExceeded, BudgetExceeded; IntegrityError for a key that was used.
        """
        user, campaign, request = self.user, self.campaign, self.request
        live = Campaign.objects.filter(pk=campaign.pk).exclude(status=Campaign.Status.ARCHIVED)
        if not live.update(batch_count=F("batch_count") + 1):
            raise Conflict(
                _("This campaign is archived."), hint=_("Restore it first, or render in another campaign."))
        campaign.refresh_from_db(fields=["batch_count", "budget"])
        campaigns.require_budget(campaign, request.pictures)
        batch = RenderBatch.objects.create(
            campaign=campaign, number=campaign.batch_count, requested_by=user, request_key=request_key,
            prompt_zh=request.prompt_zh, prompt_en=request.prompt_en, prompt=request.prompt,
            seed=request.seed, count=request.count, steps=request.steps, sampler=request.sampler,
            guidance=request.guidance, negative=request.negative,
            strength=request.start.strength if request.start else 1.0,
            control_kind=request.control.kind if request.control else "",
            control_scale=request.control.scale if request.control else None,
            loras=[{"name": lora.name, "weight": lora.weight} for lora in request.loras],
            again_of=again_of, request_id=tracing.current(), version=origin.version, bulk_row=origin.bulk_row,
            values={name: value.as_json() for name, value in origin.values.items()},
            **inputs.chosen(campaign=campaign, request=request))
        share = dispatch.join(campaign.team, user)
        _require_room(share, request.pictures)
        jobs = RenderJob.objects.bulk_create(_jobs(batch, request, self.card, share, self.priority))
        activity.record(
            verb="render.requested", actor=user, campaign=campaign, batch=batch.number, pictures=len(jobs))
        quotas.reserve(account=self.account, jobs=[job.pk for job in jobs])
        return batch


def _sent_before(user: User, campaign: Campaign, request_key: UUID) -> RenderBatch:
    """The batch that the same request made a moment ago. Raises Conflict when it was something else."""
    batch = RenderBatch.objects.filter(requested_by=user, request_key=request_key).first()
    if batch is None:
        raise Conflict(_("The campaign changed while this was being queued. Nothing was queued; press Render again."))
    if batch.campaign_id != campaign.pk:
        raise Conflict(_("This request was already used in another campaign. Reload the page and press Render again."))
    return batch


def wake(jobs: int) -> None:
    """Hint that `jobs` more wait. Where a hint may reach a worker that must not take them, all workers get one."""
    workers = Worker.objects.ready()
    ready = workers.count()
    queue.wake(max(1, ready if workers.exclude(pool=None, draining=False).exists() else min(jobs, ready)))


def _require_room(share: Share, pictures: int) -> None:
    """Raise QueueFull when the team's or the person's line gets too long. Exact: `dispatch.join` holds the team."""
    queued = RenderJob.objects.filter(team=share.team_id, status=JobStatus.QUEUED).aggregate(
        team=Count("pk"), person=Count("pk", filter=Q(share=share)))
    if queued["person"] + pictures > settings.QUEUED_PER_PERSON:
        raise QueueFull(_("You have %(waiting)d pictures waiting already; at most %(limit)d can wait at once."),
                        waiting=queued["person"], limit=settings.QUEUED_PER_PERSON)
    if queued["team"] + pictures > settings.QUEUED_PER_TEAM:
        raise QueueFull(_("Your team has %(waiting)d pictures waiting already; at most %(limit)d can wait at once."),
                        waiting=queued["team"], limit=settings.QUEUED_PER_TEAM)


def _jobs(
    batch: RenderBatch, request: RenderRequest, card: ModelCard, share: Share, priority: Priority,
) -> list[RenderJob]:
    now = timezone.now()
    jobs: list[RenderJob] = []
    earlier = batch.again_of.job if batch.again_of else None
    placed = request.start is not None or request.control is not None
    for target in request.targets:
        render_width, render_height = card.render_size(target.width, target.height, from_picture=placed)
        if earlier and card.renders(earlier.render_width, earlier.render_height, from_picture=placed):
            render_width, render_height = earlier.render_width, earlier.render_height
        for index in range(request.count):
            jobs.append(RenderJob(
                batch=batch, campaign=batch.campaign, team=batch.campaign.team, position=len(jobs) + 1,
                share=share, priority=priority,
                ad_format_id=target.format_key or None, seed=request.seed_of(index),
                width=target.width, height=target.height,
                render_width=render_width, render_height=render_height, created_at=now))
    return jobs


def cancel(*, user: User, jobs: list[RenderJob]) -> int:
    """Cancel those of `jobs` that are still open; give their quota back. Returns how many.

    A running render stops within one step. Raises Forbidden, before anything is cancelled, when one
    of them is not the person's to cancel. Jobs come with their batch and campaign selected.
    """
    for job in jobs:
        permissions.require(user, "render.cancel", job)
    with transaction.atomic(durable=True):
        # Always in one order: two people who cancel the same batch must not wait for each other.
        stopped = [job for job in sorted(jobs, key=lambda job: job.pk) if RenderJob.objects.move(
            job.pk, JobStatus.CANCELLED, finished_at=timezone.now())]
        for job in stopped:
            quotas.release(job.pk)
            notify.job_changed(job, JobStatus.CANCELLED)
        for campaign in {job.campaign_id: job.campaign for job in stopped}.values():
            own = [job for job in stopped if job.campaign_id == campaign.pk]
            activity.record(verb="render.cancelled", actor=user, campaign=campaign,
                            batch=own[0].batch.number, pictures=len(own))
        if stopped:
            notify.queue_moved({job.campaign_id for job in stopped} | dispatch.waiting_campaigns())
    return len(stopped)


def cancel_mine(*, user: User) -> int:
    """Cancel everything of the person's that is still open, in all campaigns. Returns how many.

    What they asked for in a team where they may not change anything by now is left to the others there.
    Raises Forbidden when that is so in all their teams.
    """
    teams = permissions.teams_with(user, "render.cancel")
    if not teams:
        raise Forbidden(permissions.MAKERS_REASON)
    mine = RenderJob.objects.open().filter(batch__requested_by=user, team__in=teams)
    return cancel(user=user, jobs=list(mine.select_related("batch", "campaign__team")))


def retry(*, user: User, job: RenderJob, card: ModelCard, today: date, new_seed: bool = False) -> RenderBatch:
    """Ask once more for a failed or cancelled picture, as a new batch: everything as it was, or with a `new_seed`.

    While that is queued or rendering, asking again gives the same batch. Raises Conflict when the job has not
    ended that way, and whatever `request_render` raises.
    """
    permissions.require(user, "render.create", job.campaign)
    if job.status not in (JobStatus.FAILED, JobStatus.CANCELLED):
        raise Conflict(_("Only a failed or cancelled picture can be rendered again."))
    request, variant = request_of(job), ""
    if new_seed:
        request, variant = replace(request, seed=randbelow(MAX_SEED + 1)), "seed"
    return request_render(
        user=user, campaign=job.campaign, request=request, request_key=_retry_key(user, job, variant), card=card,
        today=today, again_of=None if new_seed else job.batch.again_of, wanted=_same_class(job),
        origin=Origin.of(job.batch))


def again(*, user: User, asset: Asset, card: ModelCard, today: date) -> RenderBatch:
    """Render a finished picture once more: prompt, seed, sizes, inputs, everything the same, as a new batch.

    While that is queued or rendering, asking again gives the same batch. The job comes with its
    batch. Raises whatever `request_render` raises.
    """
    permissions.require(user, "render.create", asset.campaign)
    job = asset.job
    return request_render(
        user=user, campaign=asset.campaign, request=request_of(job), request_key=_retry_key(user, job), card=card,
        today=today, again_of=asset, wanted=_same_class(job), origin=Origin.of(job.batch))


def request_of(job: RenderJob) -> RenderRequest:
    """What was asked for with this one picture. Reads the batch."""
    batch = job.batch
    return RenderRequest(
        prompt_zh=batch.prompt_zh, prompt_en=batch.prompt_en, count=1, seed=job.seed,
        steps=batch.steps, sampler=batch.sampler, guidance=batch.guidance, negative=batch.negative,
        targets=(Target(job.ad_format_id or "", job.width, job.height),),
        start=StartRequest(batch.source_id, batch.mask_id, batch.strength) if batch.source_id else None,
        control=ControlRequest(ControlKind(batch.control_kind), batch.control_input_id, batch.control_scale or 0)
        if batch.control_input_id else None,
        loras=tuple(LoraRequest(entry["name"], entry["weight"]) for entry in batch.loras))


def _same_class(job: RenderJob) -> Priority | None:
    """What was asked for in the background is so again; the rest goes by today's deadline."""
    return Priority.BATCH if job.priority == Priority.BATCH else None


def _retry_key(user: User, job: RenderJob, variant: str = "") -> UUID:
    """The same for a button that is pressed twice; another one once the retry it stood for has ended."""
    for number in count():
        key = uuid5(job.pk, f"{variant}{number}")
        earlier = RenderBatch.objects.filter(requested_by=user, request_key=key).first()
        if earlier is None or earlier.jobs.open().exists():
            break
    return key
