"""Campaigns as the home page shows them: newest pictures, numbers, people; a fixed number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Count, F, Max, Q, Window
from django.db.models.functions import RowNumber
from django.utils import timezone

from studio.domain.states import OPEN_JOBS, AssetStatus, JobStatus
from studio.models import Asset, Campaign, RenderBatch, RenderJob, User

SHOWN = 5
PEOPLE = 4
#: Widest row: the sum of width over height of its tiles. Wider rows would be too low to see anything.
WIDEST = 5.2
#: Shapes are clamped to these, so that a banner or a skyscraper is still a picture on the sheet.
NARROW, WIDE = 0.5, 3.2
WAITING_RATIO = 0.75
STEPS = 8


@dataclass(frozen=True, slots=True)
class Tile:
    """A picture and the width over height of its place in the row."""

    asset: Asset
    ratio: float


@dataclass(frozen=True, slots=True)
class Strip:
    """A campaign with its newest pictures and its numbers."""

    campaign: Campaign
    tiles: list[Tile]
    counts: dict[str, int]
    people: list[User]
    formats: int

    @property
    def more(self) -> int:
        """Pictures beyond those shown."""
        return max(0, self.counts["all"] - len(self.tiles))

    @property
    def eighths(self) -> float:
        """How far the newest open batch is, on the step strip's scale of eight."""
        total = self.counts["rendering"]
        return round(STEPS * self.counts["rendered"] / total, 2) if total else 0

    @property
    def late(self) -> bool:
        """Past its deadline."""
        return self.campaign.deadline is not None and self.campaign.deadline < timezone.localdate()


def strips(campaigns: Sequence[Campaign]) -> list[Strip]:
    """The strips of `campaigns`, in their order."""
    keys = [campaign.pk for campaign in campaigns]
    numbers, newest, batches, people = _numbers(keys), _newest(keys), _open_batches(keys), _people(keys)
    formats = dict(Campaign.objects.filter(pk__in=keys).order_by().values_list("pk").annotate(n=Count("formats")))
    return [Strip(
        campaign, _row(newest[campaign.pk], rendering=campaign.pk in batches),
        numbers[campaign.pk] | batches.get(campaign.pk, {"rendering": 0, "rendered": 0}),
        people[campaign.pk], formats[campaign.pk]) for campaign in campaigns]


def _row(assets: list[Asset], *, rendering: bool) -> list[Tile]:
    width = WAITING_RATIO if rendering else 0.0
    row: list[Tile] = []
    for asset in assets:
        ratio = min(WIDE, max(NARROW, asset.ratio))
        if row and width + ratio > WIDEST:
            break
        width += ratio
        row.append(Tile(asset, ratio))
    return row


def _numbers(keys: list[int]) -> dict[int, dict[str, int]]:
    rows = Campaign.objects.filter(pk__in=keys).order_by().values_list("pk").annotate(
        all=Count("assets"), approved=Count("assets", filter=Q(assets__status=AssetStatus.APPROVED)),
        in_review=Count("assets", filter=Q(assets__status=AssetStatus.IN_REVIEW)),
        changes=Count("assets", filter=Q(assets__status=AssetStatus.CHANGES)),
        draft=Count("assets", filter=Q(assets__status=AssetStatus.DRAFT)))
    names = ("all", "approved", "in_review", "changes", "draft")
    return {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}


def _newest(keys: list[int]) -> dict[int, list[Asset]]:
    found: dict[int, list[Asset]] = defaultdict(list)
    place = Window(RowNumber(), partition_by=F("campaign_id"), order_by=F("pk").desc())
    ranked = Asset.objects.filter(campaign__in=keys).annotate(place=place).filter(place__lte=SHOWN)
    for asset in ranked.select_related("job__batch").order_by("-pk"):
        found[asset.campaign_id].append(asset)
    return found


def _open_batches(keys: list[int]) -> dict[int, dict[str, int]]:
    """Pictures asked for and delivered of each campaign's newest batch that is still open."""
    open_jobs = RenderJob.objects.filter(campaign__in=keys, status__in=OPEN_JOBS).order_by()
    newest = [row["batch"] for row in open_jobs.values("campaign").annotate(batch=Max("batch_id"))]
    rows = RenderBatch.objects.filter(pk__in=newest).values("campaign_id").annotate(
        rendering=Count("jobs"), rendered=Count("jobs", filter=Q(jobs__status=JobStatus.DONE)))
    return {row["campaign_id"]: {"rendering": row["rendering"], "rendered": row["rendered"]} for row in rows}


def _people(keys: list[int]) -> dict[int, list[User]]:
    found: dict[int, list[User]] = defaultdict(list)
    pairs = RenderBatch.objects.filter(campaign__in=keys).order_by(
        "requested_by").values_list("campaign", "requested_by").distinct()
    names = User.objects.in_bulk({user for _campaign, user in pairs})
    for campaign, user in pairs:
        if len(found[campaign]) < PEOPLE:
            found[campaign].append(names[user])
    return found
