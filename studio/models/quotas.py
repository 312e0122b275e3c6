"""A team's pictures per month: counters, and the ledger they are recomputed from."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q

from studio.domain.states import EntryKind
from studio.models.accounts import Team
from studio.models.base import choices, one_of
from studio.models.renders import RenderJob


class QuotaAccount(models.Model):
    """One team's month. `period` is its first day."""

    team = models.ForeignKey(Team, models.CASCADE, related_name="quota_accounts")
    period = models.DateField()
    limit = models.PositiveIntegerField()
    reserved = models.PositiveIntegerField(default=0)
    spent = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["team", "period"], name="quota_one_per_team_and_period"),
            models.CheckConstraint(condition=Q(limit__gte=F("reserved") + F("spent")), name="quota_never_oversold"),
            models.CheckConstraint(condition=Q(period__day=1), name="quota_period_is_a_month"),
        ]

    def __str__(self) -> str:
        return f"{self.team} {self.period:%Y-%m}"

    @property
    def left(self) -> int:
        """Pictures that can still be asked for."""
        return self.limit - self.reserved - self.spent

    @property
    def percent(self) -> int:
        """Share of the month's pictures used or reserved, 0 to 100."""
        return min(100, round(100 * (self.reserved + self.spent) / self.limit)) if self.limit else 100


class QuotaEntry(models.Model):
    """A line of the ledger: one picture reserved, settled or released."""

    account = models.ForeignKey(QuotaAccount, models.PROTECT, related_name="entries")
    job = models.ForeignKey(RenderJob, models.PROTECT, related_name="quota_entries")
    kind = models.CharField(max_length=8, choices=choices(EntryKind))
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job"], condition=Q(kind="reserve"), name="quota_one_reserve_per_job"),
            models.UniqueConstraint(
                fields=["job"], condition=Q(kind__in=["settle", "release"]), name="quota_one_outcome_per_job"),
            one_of("kind", EntryKind, "quota_kind_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.job_id}"
