"""How people steer what waits: pause a campaign, put their own renders before or behind their others."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Max, Min
from django.utils import timezone

from studio import notify, permissions
from studio.domain.errors import Conflict
from studio.domain.i18n import gettext_noop as _
from studio.domain.states import JobStatus
from studio.models import Campaign, RenderJob, User
from studio.services import activity, dispatch, renders


def pause(*, user: User, campaign: Campaign) -> bool:
    """Let the campaign's renders wait until `resume`; those that run are finished. False: it is paused already."""
    permissions.require(user, "queue.pause", campaign)
    with transaction.atomic(durable=True):
        if not Campaign.objects.filter(pk=campaign.pk, paused_at=None).update(paused_at=timezone.now()):
            return False
        activity.record(verb="queue.paused", actor=user, campaign=campaign)
        notify.queue_moved({campaign.pk} | dispatch.waiting_campaigns())
    return True


def resume(*, user: User, campaign: Campaign) -> bool:
    """Let the campaign's renders be taken again. False: it is not paused."""
    permissions.require(user, "queue.pause", campaign)
    with transaction.atomic(durable=True):
        waiting = RenderJob.objects.filter(campaign=campaign, status=JobStatus.QUEUED)
        if not Campaign.objects.filter(pk=campaign.pk, paused_at__isnull=False).exists():
            return False
        dispatch.rejoin(waiting)
        Campaign.objects.filter(pk=campaign.pk).update(paused_at=None)
        activity.record(verb="queue.resumed", actor=user, campaign=campaign)
        notify.queue_moved({campaign.pk} | dispatch.waiting_campaigns())
        count = waiting.count()
        if count:
            transaction.on_commit(lambda: renders.wake(count))
    return True


def reorder(*, user: User, jobs: list[RenderJob], first: bool) -> int:
    """Put the person's own waiting `jobs` before all their others of the same class, or behind them.

    Returns how many were moved. Only the person's own turns change; nobody else waits longer. Raises Forbidden for
    somebody else's render, and Conflict when none of them waits any more.
    """
    for job in jobs:
        permissions.require(user, "queue.reorder", job)
    with transaction.atomic(durable=True):
        waiting = RenderJob.objects.filter(status=JobStatus.QUEUED)
        moved = 0
        for share in {job.share_id for job in jobs}:
            ranks = waiting.filter(share=share).aggregate(least=Min("rank"), most=Max("rank"))
            if ranks["least"] is None:
                continue
            rank = ranks["least"] - 1 if first else ranks["most"] + 1
            moved += waiting.filter(pk__in=[job.pk for job in jobs], share=share).update(rank=rank)
        if not moved:
            raise Conflict(_("This is being rendered or finished already: there is nothing left to put in order."))
        notify.queue_moved(dispatch.waiting_campaigns())
    return moved
