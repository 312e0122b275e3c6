"""The team's pictures per month: reserve, then settle or release; each at most once per job.

A reservation is one conditional update whose row count is the answer, so two requests can never
share the last picture; the ledger's partial unique constraints make a second settle impossible.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from uuid import UUID

from django.db import transaction
from django.db.models import Count, F, Q

from studio import permissions
from studio.domain.errors import Conflict, Invalid, QuotaExceeded
from studio.domain.i18n import gettext_noop as _
from studio.domain.states import EntryKind
from studio.models import QuotaAccount, QuotaEntry, RenderJob, Team, User
from studio.services import activity

MAX_LIMIT = 10_000_000


def account_for(team: Team, today: date) -> QuotaAccount:
    """The team's account of the month of `today`, made on first use with the team's limit."""
    account, _made = QuotaAccount.objects.get_or_create(
        team=team, period=today.replace(day=1), defaults={"limit": team.monthly_pictures})
    return account


def reserve(*, account: QuotaAccount, jobs: Iterable[UUID]) -> None:
    """Hold one picture for each job, all or none, inside the caller's transaction.

    Raises QuotaExceeded when the account does not cover them. Locks the account row until commit:
    call it last.
    """
    jobs = list(jobs)
    held = QuotaAccount.objects.filter(
        pk=account.pk, limit__gte=F("reserved") + F("spent") + len(jobs),
    ).update(reserved=F("reserved") + len(jobs))
    if not held:
        account.refresh_from_db()
        raise QuotaExceeded(needed=len(jobs), left=account.left)
    QuotaEntry.objects.bulk_create(
        [QuotaEntry(account=account, job_id=job, kind=EntryKind.RESERVE) for job in jobs])


def settle(job: UUID) -> None:
    """The picture was delivered: charge it. Inside the caller's transaction.

    Raises IntegrityError when the job already has an outcome.
    """
    _close(job, EntryKind.SETTLE, spent=F("spent") + 1)


def release(job: UUID) -> None:
    """The job failed or was cancelled: give the picture back. Inside the caller's transaction.

    Raises IntegrityError when the job already has an outcome.
    """
    _close(job, EntryKind.RELEASE)


def _close(job: UUID, kind: EntryKind, **counters: object) -> None:
    held = QuotaEntry.objects.get(job_id=job, kind=EntryKind.RESERVE)
    QuotaEntry.objects.create(account_id=held.account_id, job_id=job, kind=kind)
    QuotaAccount.objects.filter(pk=held.account_id).update(reserved=F("reserved") - 1, **counters)


def change_limit(*, user: User, team: Team, limit: int, today: date, even_below_use: bool = False) -> QuotaAccount:
    """Set the team's pictures per month, for this month and the following ones.

    A limit below this month's use needs `even_below_use`: this month then ends where it stands,
    and the limit holds from the next. Raises Forbidden, Invalid (out of range), Conflict (below use).
    """
    permissions.require(user, "quota.change", team)
    if not 0 <= limit <= MAX_LIMIT:
        raise Invalid(_("The limit is a whole number from 0 to %(limit)d."), field="limit", limit=MAX_LIMIT)
    with transaction.atomic(durable=True):
        # no_key: rows that only refer to the team (jobs, activity) must not wait, or waiting goes in a circle.
        team = Team.objects.select_for_update(no_key=True).get(pk=team.pk)
        account = QuotaAccount.objects.select_for_update(no_key=True).get(pk=account_for(team, today).pk)
        used = account.reserved + account.spent
        if limit < used and not even_below_use:
            raise Conflict(
                _("%(used)d pictures are already used or being rendered this month, more than %(limit)d."),
                hint=_("Confirm to stop new renders this month; the new limit then holds from next month."),
                used=used, limit=limit)
        before = team.monthly_pictures
        team.monthly_pictures = limit
        team.save(update_fields=["monthly_pictures"])
        account.limit = max(limit, used)
        account.save(update_fields=["limit"])
        activity.record(verb="quota.changed", team=team, actor=user, before=before, after=limit)
    return account


def mismatches() -> list[str]:
    """Accounts whose counters differ from their ledger, one sentence each; empty when all is well."""
    found = []
    for account in QuotaAccount.objects.annotate(
        held=Count("entries", filter=Q(entries__kind=EntryKind.RESERVE)),
        settled=Count("entries", filter=Q(entries__kind=EntryKind.SETTLE)),
        released=Count("entries", filter=Q(entries__kind=EntryKind.RELEASE)),
    ):
        counted = (account.held - account.settled - account.released, account.settled)
        if counted != (account.reserved, account.spent):
            found.append(f"{account}: reserved {account.reserved}, spent {account.spent}; "
                         f"the ledger says {counted[0]}, {counted[1]}")
    open_jobs = set(RenderJob.objects.open().values_list("pk", flat=True))
    held_jobs = set(QuotaEntry.objects.filter(kind=EntryKind.RESERVE).exclude(
        job__quota_entries__kind__in=[EntryKind.SETTLE, EntryKind.RELEASE]).values_list("job_id", flat=True))
    found += [f"job {job}: open without a reservation" for job in open_jobs - held_jobs]
    found += [f"job {job}: closed with a reservation left" for job in held_jobs - open_jobs]
    return found
