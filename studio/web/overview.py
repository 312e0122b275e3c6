"""A campaign's overview: what is delivered, in review, missing, by format and by day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils import timezone

from studio.domain.states import AssetStatus
from studio.models import AdFormat, Asset, Campaign, CampaignFormat, Review

#: Days that the chart shows at most, up to today.
DAYS = 28


@dataclass(frozen=True, slots=True)
class Line:
    """One format: how many are needed, and how many there are in each state."""

    preset: AdFormat | None
    needed: int
    approved: int
    in_review: int
    others: int

    @property
    def missing(self) -> int:
        """Approved pictures that are still to come."""
        return max(0, self.needed - self.approved)

    @property
    def percent(self) -> int:
        """How much of what is needed is approved."""
        return min(100, 100 * self.approved // self.needed) if self.needed else 100


def overview(campaign: Campaign) -> dict[str, Any]:
    """What overview.html reads besides the plan. A fixed number of queries."""
    lines = _lines(campaign)
    days = _days(campaign, timezone.localdate())
    return {
        "lines": lines, "needed": sum(line.needed for line in lines),
        "got": sum(min(line.approved, line.needed) for line in lines), "missing": sum(line.missing for line in lines),
        "days": days, "peak": max((day["made"] for day in days), default=0)}


def _lines(campaign: Campaign) -> list[Line]:
    needs = list(CampaignFormat.objects.filter(campaign=campaign).select_related("adformat").order_by(
        "adformat__position", "adformat"))
    numbers: dict[str | None, Counter[str]] = {}
    rows = Asset.objects.filter(campaign=campaign).order_by().values_list("ad_format", "status").annotate(Count("pk"))
    for key, status, count in rows:
        numbers.setdefault(key, Counter())[status] = count
    extra = AdFormat.objects.in_bulk([key for key in numbers if key and key not in {one.adformat_id for one in needs}])
    wanted: list[tuple[AdFormat | None, int]] = [(one.adformat, one.count) for one in needs]
    wanted += [(preset, 0) for preset in extra.values()]
    wanted += [(None, 0)] if None in numbers else []
    return [_line(preset, count, numbers.get(preset.pk if preset else None, Counter())) for preset, count in wanted]


def _line(preset: AdFormat | None, needed: int, found: Counter[str]) -> Line:
    return Line(preset, needed, found[AssetStatus.APPROVED], found[AssetStatus.IN_REVIEW],
                found[AssetStatus.DRAFT] + found[AssetStatus.CHANGES])


def _days(campaign: Campaign, today: date) -> list[dict[str, Any]]:
    """Pictures made and approved on each day since the first one, the last DAYS of them."""
    first = today - timedelta(days=DAYS - 1)
    made = dict(Asset.objects.filter(campaign=campaign, created_at__date__gte=first).order_by().annotate(
        day=TruncDate("created_at")).values_list("day").annotate(Count("pk")))
    approved = dict(Review.objects.filter(
        asset__campaign=campaign, status="approved", decided_at__date__gte=first).order_by().annotate(
        day=TruncDate("decided_at")).values_list("day").annotate(Count("pk")))
    if not made and not approved:
        return []
    begin = min([*made, *approved])
    days = [begin + timedelta(days=n) for n in range((today - begin).days + 1)]
    peak = max([*made.values(), *approved.values()])
    return [{"day": day, "made": made.get(day, 0), "approved": approved.get(day, 0),
             "made_percent": 100 * made.get(day, 0) / peak, "approved_percent": 100 * approved.get(day, 0) / peak}
            for day in days]
