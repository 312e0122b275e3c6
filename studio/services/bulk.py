"""Sheets of rows: check each row before anything is queued, then queue all, some or the first ones."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from secrets import randbelow

from django.db import transaction
from django.db.models import Count, F, Q
from django.utils import timezone

from studio import permissions, sheetfiles
from studio.domain.errors import Conflict, Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.spec import MAX_COUNT, MAX_PICTURES, MAX_SEED
from studio.domain.states import OPEN_JOBS, BulkStatus, JobStatus, bulk_sources
from studio.domain.templating import combinations
from studio.domain.variables import Value, VariableKind
from studio.models import AdFormat, BulkRow, BulkRun, Campaign, RenderJob, TemplateVersion, User
from studio.services import activity, renders
from studio.services.bulkrules import LANGUAGES, Columns, Rules, guess, plain, usable

#: Rows written at a time.
_CHUNK = 500


def start(*, user: User, campaign: Campaign, version: TemplateVersion, name: str, data: bytes) -> BulkRun:
    """Take a file in: every row is stored and checked, and nothing is queued.

    Raises Forbidden, or Invalid (field "file") for a file that is no table; then nothing is kept.
    """
    permissions.require(user, "render.create", campaign)
    sheet = sheetfiles.read(data, name)
    return _store(user, campaign, version, name, sheet.columns, guess(version, sheet.columns), sheet.rows)


def start_matrix(
    *, user: User, campaign: Campaign, version: TemplateVersion, values: dict[str, list[Value]], name: str,
) -> BulkRun:
    """Every combination of `values` as the rows of a sheet, a column for each variable and language."""
    permissions.require(user, "render.create", campaign)
    text = version.text
    wanted = {one.name: values.get(one.name) or [one.default] for one in text.variables
              if one.kind != VariableKind.PICTURE}
    columns = [f"{name}_{language}" for name in wanted for language in LANGUAGES]
    mapping = {name: {language: f"{name}_{language}" for language in LANGUAGES} for name in wanted}
    rows = ([text for value in one.values() for text in (value.zh, value.en)] for one in combinations(wanted))
    some = list(islice(rows, sheetfiles.MAX_ROWS + 1))
    if len(some) > sheetfiles.MAX_ROWS:
        raise Invalid(_("These values make more than %(limit)d combinations."), field="matrix",
                      limit=sheetfiles.MAX_ROWS)
    return _store(user, campaign, version, name, columns, mapping, enumerate(some, 1))


def _store(
    user: User, campaign: Campaign, version: TemplateVersion, name: str, columns: list[str], mapping: Columns,
    rows: Iterable[tuple[int, list[str]]],
) -> BulkRun:
    with transaction.atomic(durable=True):
        run = BulkRun.objects.create(
            campaign=campaign, version=version, requested_by=user, name=plain(name)[:120] or "sheet",
            columns=[plain(column) for column in columns],
            mapping=mapping, seed=randbelow(MAX_SEED + 1), steps=version.settings.get("steps"),
            status=BulkStatus.CHECKED)
        wanted = version.settings.get("formats") or list(campaign.formats.values_list("key", flat=True))
        run.formats.set(AdFormat.objects.filter(active=True, key__in=wanted))
        rules, some = Rules.of(run), iter(rows)
        count = 0
        while chunk := list(islice(some, _CHUNK)):
            BulkRow.objects.bulk_create([_row(run, rules, number, cells) for number, cells in chunk])
            count += len(chunk)
        if not count:
            raise Invalid(_("The table has no rows below its header."), field="file")
        activity.record(verb="bulk.uploaded", actor=user, campaign=campaign, sheet=run.name, rows=count)
    return run


def _row(run: BulkRun, rules: Rules, number: int, given: list[str]) -> BulkRow:
    cells = [plain(cell)[:sheetfiles.MAX_CELL_CHARS + 1] for cell in given]
    problems = rules.problems(cells)
    return BulkRow(run=run, number=number, cells=cells, problems=problems, usable=usable(problems))


def remap(*, user: User, run: BulkRun, mapping: Columns) -> None:
    """Take the values from other columns, and check every row again. Raises Forbidden, Conflict, Invalid."""
    permissions.require(user, "render.create", run.campaign)
    known = set(run.columns)
    names = {one.name for one in run.version.text.variables}
    clean = {name: {key: plain(text) for key, text in source.items() if key == "value" or text in known}
             for name, source in mapping.items() if name in names}
    clean = {name: {key: text for key, text in source.items() if text} for name, source in clean.items()}
    with transaction.atomic(durable=True):
        if not BulkRun.objects.filter(pk=run.pk, status=BulkStatus.CHECKED).update(mapping=clean):
            raise Conflict(_("Rows of this sheet are queued already: upload it again to map it differently."))
        run.mapping = clean
        rules = Rules.of(run)
        rows = BulkRow.objects.filter(run=run).order_by("number")
        rows.update(usable=True, problems=[])
        faulty = []
        for row in rows.iterator(_CHUNK):
            if problems := rules.problems(row.cells):
                row.problems, row.usable = problems, usable(problems)
                faulty.append(row)
        BulkRow.objects.bulk_update(faulty, ["problems", "usable"], batch_size=_CHUNK)


def correct(*, user: User, run: BulkRun, number: int, cells: list[str]) -> BulkRow:
    """Write other cells into a row and check it again. Raises Forbidden, or Conflict when it is queued already."""
    permissions.require(user, "render.create", run.campaign)
    row = _row(run, Rules.of(run), number, cells)
    with transaction.atomic(durable=True):
        found = BulkRow.objects.filter(run=run, number=number, taken_at=None)
        if not found.update(cells=row.cells, problems=row.problems, usable=row.usable):
            raise Conflict(_("This row is queued already."))
    return row


def queue(
    *, user: User, run: BulkRun, formats: list[AdFormat], count: int, first: int | None = None,
    numbers: list[int] | None = None,
) -> None:
    """Let the usable rows become batches: all of them, the `first` so many, or those with these `numbers`.

    From here on it goes on by itself, whoever closes what. Raises Forbidden, Invalid, or Conflict when it ended.
    """
    permissions.require(user, "render.create", run.campaign)
    if not formats:
        raise Invalid(_("Choose at least one format."), field="formats")
    if not 1 <= count <= MAX_COUNT or count * len(formats) > MAX_PICTURES:
        raise Invalid(_("Ask for 1 to %(limit)d pictures per format."), field="count", limit=MAX_COUNT)
    with transaction.atomic(durable=True):
        if not _move(run, BulkStatus.RUNNING, queued_at=timezone.now(), count=count, halted="", finished_at=None):
            raise Conflict(_("This sheet is being rendered, or was cancelled."))
        run.formats.set(formats)
        rows = BulkRow.objects.filter(run=run, taken_at=None, usable=True)
        if first is not None:
            numbers = list(rows.order_by("number").values_list("number", flat=True)[:first])
        if numbers is not None:
            rows.update(selected=False)
            for at in range(0, len(numbers), _CHUNK):
                rows.filter(number__in=numbers[at:at + _CHUNK]).update(selected=True)
        else:
            rows.update(selected=True)
        chosen = rows.filter(selected=True).count()
        if not chosen:
            raise Invalid(_("No row can be queued: correct the faulty ones first."), field="rows")
        activity.record(verb="bulk.queued", actor=user, campaign=run.campaign, sheet=run.name, rows=chosen,
                        pictures=chosen * count * len(formats))


def _move(run: BulkRun, to: BulkStatus, **fields: object) -> bool:
    return BulkRun.objects.filter(pk=run.pk, status__in=bulk_sources(to)).update(status=to, **fields) == 1


def pause(*, user: User, run: BulkRun) -> bool:
    """No more rows become batches; those that did are rendered. False: it was not running. Raises Forbidden."""
    permissions.require(user, "render.cancel", run.campaign)
    return _move(run, BulkStatus.PAUSED)


def resume(*, user: User, run: BulkRun) -> bool:
    """Go on with a paused sheet. False: it was not paused. Raises Forbidden."""
    permissions.require(user, "render.cancel", run.campaign)
    return BulkRun.objects.filter(pk=run.pk, status=BulkStatus.PAUSED).update(
        status=BulkStatus.RUNNING, halted="") == 1


def cancel(*, user: User, run: BulkRun) -> int:
    """Take no more rows and cancel what waits or is rendered. Returns how many pictures. Raises Forbidden."""
    permissions.require(user, "render.cancel", run.campaign)
    _move(run, BulkStatus.CANCELLED, finished_at=timezone.now())
    stopped = 0
    jobs = RenderJob.objects.filter(batch__bulk_row__run=run, status__in=OPEN_JOBS)
    while some := list(jobs.select_related("batch", "campaign__team")[:_CHUNK]):
        count = renders.cancel(user=user, jobs=some)
        stopped += count
        if not count:
            break
    return stopped


def retry(*, user: User, run: BulkRun) -> int:
    """Ask once more for the rows that have a failed picture and none that is open or done. Returns how many."""
    permissions.require(user, "render.create", run.campaign)
    with transaction.atomic(durable=True):
        locked = BulkRun.objects.select_for_update().get(pk=run.pk)
        if locked.status == BulkStatus.CANCELLED:
            raise Conflict(_("This sheet was cancelled."))
        good = RenderJob.objects.filter(batch__bulk_row__run=run).exclude(
            status__in=[JobStatus.FAILED, JobStatus.CANCELLED]).values("batch__bulk_row")
        failed = RenderJob.objects.filter(batch__bulk_row__run=run, status=JobStatus.FAILED).values("batch__bulk_row")
        rows = BulkRow.objects.filter(run=run, pk__in=failed, taken_at__isnull=False).exclude(pk__in=good)
        count = rows.update(attempt=F("attempt") + 1, taken_at=None, selected=True)
        if count:
            BulkRun.objects.filter(pk=run.pk).update(status=BulkStatus.RUNNING, halted="", finished_at=None)
    return count


def progress(run: BulkRun) -> dict[str, int]:
    """Rows by what is known of them, and pictures by state: two queries."""
    rows = BulkRow.objects.filter(run=run).aggregate(
        all_rows=Count("pk"), can_render=Count("pk", filter=Q(usable=True)),
        faulty=Count("pk", filter=Q(usable=False)), warned=Count("pk", filter=Q(usable=True) & ~Q(problems=[])),
        taken=Count("pk", filter=Q(taken_at__isnull=False)),
        left=Count("pk", filter=Q(usable=True, selected=True, taken_at=None)))
    found = RenderJob.objects.filter(batch__bulk_row__run=run).order_by()
    jobs = dict(found.values_list("status").annotate(Count("pk")))
    return rows | {state.value: jobs.get(state.value, 0) for state in JobStatus}
