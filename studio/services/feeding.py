"""Rows of sheets become batches, a few at a time: the queue stays fair and short, and nothing is lost."""

from __future__ import annotations

from uuid import uuid5

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from studio import notify
from studio.domain.errors import Invalid, QueueFull, StudioError
from studio.domain.modelcard import ModelCard
from studio.domain.priority import Priority
from studio.domain.spec import MAX_SEED, RenderRequest, Target
from studio.domain.states import BulkStatus, JobStatus
from studio.models import BulkRow, BulkRun, RenderJob
from studio.services import dispatch, models, renders
from studio.services.bulkrules import Rules, problem
from studio.services.renders import Order, Origin

log = structlog.get_logger(__name__)

#: Pictures of a sheet that wait at a time: what workers render between two rounds, many times over.
AHEAD = 200
#: Rows in one transaction.
_CHUNK = 10


def feed_all() -> int:
    """Feed every running sheet. Returns how many rows became batches."""
    runs = list(BulkRun.objects.filter(status=BulkStatus.RUNNING).order_by("queued_at").select_related(
        "campaign__team", "campaign__brand_kit", "version__template", "requested_by"))
    return sum(feed(run) for run in runs)


def feed(run: BulkRun, rows: int = AHEAD) -> int:
    """Queue the next rows of a running sheet while there is room, at most `rows`. Returns how many.

    What keeps the rest waiting (quota, budget, an archived campaign) is written down as the run's `halted`; the
    next round tries again.
    """
    taken = 0
    while taken < rows:
        count = _feed_some(run, min(_CHUNK, rows - taken))
        taken += count
        if not count:
            break
    return taken


def _feed_some(run: BulkRun, limit: int) -> int:
    try:
        card = models.current().card
        with transaction.atomic(durable=True):
            # Two feeders take turns, and neither takes a row of a sheet that was paused meanwhile.
            locked = BulkRun.objects.select_for_update().filter(pk=run.pk, status=BulkStatus.RUNNING).first()
            if locked is None:
                return 0
            count = _take(run, card, limit)
            if count:
                BulkRun.objects.filter(pk=run.pk).exclude(halted="").update(halted="")
                notify.queue_moved({run.campaign_id} | dispatch.waiting_campaigns())
                transaction.on_commit(lambda: renders.wake(count))
            elif not _waiting(run).exists() and not _open(run):
                BulkRun.objects.filter(pk=run.pk).update(
                    status=BulkStatus.DONE, finished_at=timezone.now(), halted="")
    except QueueFull:
        return 0
    except StudioError as error:
        BulkRun.objects.filter(pk=run.pk, status=BulkStatus.RUNNING).update(halted=error.code)
        log.info("bulk.halted", run=str(run.pk), reason=error.code)
        return 0
    return count


def _waiting(run: BulkRun) -> QuerySet[BulkRow]:
    return BulkRow.objects.filter(run=run, usable=True, selected=True, taken_at=None).order_by("number")


def _open(run: BulkRun) -> bool:
    return RenderJob.objects.filter(batch__bulk_row__run=run).open().exists()


def _take(run: BulkRun, card: ModelCard, limit: int) -> int:
    """Rows that became batches, inside the caller's transaction."""
    targets = tuple(Target(preset.pk, preset.width, preset.height) for preset in run.formats.order_by("position", "pk"))
    each = len(targets) * run.count
    queued = RenderJob.objects.filter(batch__bulk_row__run=run, status=JobStatus.QUEUED).count()
    ahead = min(AHEAD, settings.QUEUED_PER_PERSON // 2)
    room = max(0, ahead - queued) // max(1, each) if queued else max(1, ahead // max(1, each))
    rules, taken = Rules.of(run), 0
    for row in _waiting(run)[:min(limit, room)]:
        try:
            with transaction.atomic():
                _place(run, row, rules, targets, card)
        except Invalid as error:
            BulkRow.objects.filter(pk=row.pk).update(
                usable=False, problems=[problem("", error.message, error.params)])
            continue
        except StudioError:
            if not taken:
                raise
            break  # what was taken stays; the next round finds the same obstacle first
        taken += 1
    return taken


def _place(run: BulkRun, row: BulkRow, rules: Rules, targets: tuple[Target, ...], card: ModelCard) -> None:
    values = rules.text.clean(rules.values(row.cells))
    zh, en = rules.text.fill(values)
    settings_of = run.version.settings
    request = RenderRequest(
        prompt_zh=zh, prompt_en=en, targets=targets, count=run.count,
        seed=(run.seed + (row.number - 1) * run.count) % (MAX_SEED + 1), steps=run.steps or card.steps,
        sampler=settings_of.get("sampler") or "euler", negative=settings_of.get("negative") or "",
        guidance=settings_of.get("guidance", card.guidance) if card.guides else 0.0)
    origin = Origin(run.version, values, row)
    order = Order.of(user=run.requested_by, campaign=run.campaign, request=request, card=card,
                     today=timezone.localdate(), wanted=Priority.BATCH, origin=origin)
    order.place(uuid5(run.pk, f"{row.number}:{row.attempt}"), origin=origin)
    BulkRow.objects.filter(pk=row.pk).update(taken_at=timezone.now())
