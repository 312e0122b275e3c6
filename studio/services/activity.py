"""The activity list."""

from __future__ import annotations

from studio.models import Activity, Asset, Campaign, Team, User


def record(
    *, verb: str, team: Team | None = None, actor: User | None = None,
    campaign: Campaign | None = None, asset: Asset | None = None, **data: object,
) -> Activity:
    """Write one line, inside the caller's transaction. `team` may be left out when a campaign is given."""
    if team is None:
        assert campaign is not None, "a line belongs to a team"
        team = campaign.team
    return Activity.objects.create(
        team=team, actor=actor, verb=verb, campaign=campaign, asset=asset, data=data)
