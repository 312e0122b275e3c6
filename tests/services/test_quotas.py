from __future__ import annotations

from collections.abc import Callable
from datetime import date
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from studio.domain.errors import Conflict, Forbidden, Invalid, QuotaExceeded
from studio.models import Activity, QuotaAccount, QuotaEntry, Team
from studio.services import quotas, renders
from tests.conftest import Cast
from tests.factories import CARD, account, balance, job, ledger, render_request

NOVEMBER, DECEMBER = date(2026, 11, 30), date(2026, 12, 1)


@pytest.mark.parametrize("first", [quotas.settle, quotas.release])
@pytest.mark.parametrize("second", [quotas.settle, quotas.release])
def test_a_job_has_one_outcome(cast: Cast, first: Callable[[Any], None], second: Callable[[Any], None]) -> None:
    mine = job(cast.campaign)
    first(mine.pk)
    after = balance(cast.team)
    assert after == ((0, 1) if first is quotas.settle else (0, 0))
    with pytest.raises(IntegrityError), transaction.atomic():
        second(mine.pk)
    assert balance(cast.team) == after and len(ledger(mine)) == 2


def test_what_was_never_reserved_is_not_charged(cast: Cast) -> None:
    with pytest.raises(QuotaEntry.DoesNotExist):
        quotas.settle(job(cast.campaign, reserved=False).pk)


def test_the_last_picture_can_be_reserved_and_no_more(cast: Cast) -> None:
    QuotaAccount.objects.filter(pk=account(cast.team).pk).update(limit=2)
    jobs = [job(cast.campaign, reserved=False) for _ in range(3)]
    with pytest.raises(QuotaExceeded) as caught:
        quotas.reserve(account=account(cast.team), jobs=[j.pk for j in jobs])
    assert (caught.value.needed, caught.value.left) == (3, 2) and balance(cast.team) == (0, 0)
    quotas.reserve(account=account(cast.team), jobs=[j.pk for j in jobs[:2]])
    with pytest.raises(QuotaExceeded) as caught:
        quotas.reserve(account=account(cast.team), jobs=[jobs[2].pk])
    assert (caught.value.needed, caught.value.left) == (1, 0) and balance(cast.team) == (2, 0)


def test_every_month_starts_anew_and_a_render_is_charged_to_the_month_it_was_asked_in(cast: Cast) -> None:
    def ask(today: date) -> Any:
        return renders.request_render(
            user=cast.marketer, campaign=cast.campaign, request=render_request(count=1), request_key=uuid4(),
            card=CARD, today=today).jobs.get()

    old = ask(NOVEMBER)
    new = ask(DECEMBER)
    quotas.settle(old.pk)  # delivered in December
    quotas.release(new.pk)
    november, december = account(cast.team, NOVEMBER), account(cast.team, DECEMBER)
    assert (november.period, november.reserved, november.spent) == (date(2026, 11, 1), 0, 1)
    assert (december.period, december.reserved, december.spent) == (date(2026, 12, 1), 0, 0)


def test_a_new_limit_holds_this_month_and_later(cast: Cast) -> None:
    quotas.change_limit(user=cast.admin, team=cast.team, limit=250, today=NOVEMBER)
    assert account(cast.team, NOVEMBER).limit == 250
    assert quotas.account_for(Team.objects.get(pk=cast.team.pk), DECEMBER).limit == 250
    assert account(cast.other_team, NOVEMBER).limit == 100
    line = Activity.objects.get()
    assert (line.verb, line.actor, line.data) == ("quota.changed", cast.admin, {"before": 100, "after": 250})


def test_a_limit_below_use_needs_a_yes(cast: Cast) -> None:
    for _ in range(3):
        job(cast.campaign)
    today = timezone.localdate()
    with pytest.raises(Conflict, match="3 pictures are already used") as caught:
        quotas.change_limit(user=cast.admin, team=cast.team, limit=1, today=today)
    assert "Confirm" in caught.value.hint and account(cast.team).limit == 100
    assert not Activity.objects.exists() and Team.objects.get(pk=cast.team.pk).monthly_pictures == 100
    quotas.change_limit(user=cast.admin, team=cast.team, limit=1, today=today, even_below_use=True)
    assert account(cast.team).limit == 3 and account(cast.team).left == 0
    assert Team.objects.get(pk=cast.team.pk).monthly_pictures == 1


@pytest.mark.parametrize("limit", [-1, quotas.MAX_LIMIT + 1, 10**30])
def test_a_limit_out_of_range_is_refused(cast: Cast, limit: int) -> None:
    with pytest.raises(Invalid, match="from 0 to 10000000"):
        quotas.change_limit(user=cast.admin, team=cast.team, limit=limit, today=NOVEMBER)


def test_a_limit_of_nothing_stops_the_team(cast: Cast) -> None:
    quotas.change_limit(user=cast.admin, team=cast.team, limit=0, today=NOVEMBER)
    assert (account(cast.team, NOVEMBER).percent, account(cast.team, NOVEMBER).left) == (100, 0)


@pytest.mark.parametrize("who", ["viewer", "marketer", "reviewer", "stranger"])
def test_only_admins_change_the_limit(cast: Cast, who: str) -> None:
    with pytest.raises(Forbidden):
        quotas.change_limit(user=cast.person(who), team=cast.team, limit=5, today=NOVEMBER)


def test_counters_that_agree_are_no_news(cast: Cast) -> None:
    for status in ("queued", "running", "done", "failed", "cancelled"):
        job(cast.campaign, status=status)  # type: ignore[arg-type]
    assert quotas.mismatches() == [] and balance(cast.team) == (2, 1)
    out = StringIO()
    call_command("check_quota", stdout=out)
    assert "agree" in out.getvalue()


def test_every_kind_of_difference_is_found(cast: Cast) -> None:
    unreserved = job(cast.campaign, reserved=False)
    kept = job(cast.campaign)
    type(kept).objects.filter(pk=kept.pk).update(status="failed", finished_at=timezone.now())
    QuotaAccount.objects.filter(pk=account(cast.team).pk).update(spent=4)
    found = quotas.mismatches()
    assert len(found) == 3
    assert "spent 4; the ledger says 1, 0" in found[0]
    assert f"job {unreserved.pk}: open without" in found[1] and f"job {kept.pk}: closed with" in found[2]
    with pytest.raises(CommandError, match="the ledger says"):
        call_command("check_quota")
