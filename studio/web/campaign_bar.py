"""The numbers beside a campaign's tabs."""

from __future__ import annotations

from django.db.models import Count, Q

from studio.domain.states import AssetStatus
from studio.models import Asset, Campaign


def counts(campaign: Campaign) -> dict[str, int]:
    """Pictures in all, picked, in review, approved, to change: one query."""
    return Asset.objects.filter(campaign=campaign).aggregate(
        asset_count=Count("pk"),
        picked_count=Count("pk", filter=Q(picked=True, status__in=[AssetStatus.DRAFT, AssetStatus.CHANGES])),
        review_count=Count("pk", filter=Q(status=AssetStatus.IN_REVIEW)),
        approved_count=Count("pk", filter=Q(status=AssetStatus.APPROVED)),
        changes_count=Count("pk", filter=Q(status=AssetStatus.CHANGES)))
