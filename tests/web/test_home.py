"""The home page with more campaigns than it shows at first."""

from __future__ import annotations

import re
from datetime import date

import pytest

from studio.web.views.home import CAMPAIGNS_SHOWN
from tests.conftest import Cast, SignIn
from tests.factories import CampaignFactory


def shown(html: str) -> list[str]:
    """Ids of the campaigns on the page, in order."""
    return re.findall(r'id="camp-(\d+)"', html)


def test_every_campaign_can_be_reached_and_the_nearest_deadline_stands_first(cast: Cast, sign_in: SignIn) -> None:
    CampaignFactory.create_batch(CAMPAIGNS_SHOWN + 4, team=cast.team, created_by=cast.marketer, deadline=None)
    due = CampaignFactory.create(team=cast.team, created_by=cast.marketer, deadline=date(2031, 5, 1))
    marketer = sign_in(cast.marketer)
    first = marketer.get("/").content.decode()
    assert len(shown(first)) == CAMPAIGNS_SHOWN and shown(first)[0] == str(due.pk)
    more = re.search(r'id="more-campaigns" href="([^"]+)"', first)
    assert more
    everything = marketer.get("/" + more[1].replace("&amp;", "&")).content.decode()
    assert len(shown(everything)) == CAMPAIGNS_SHOWN + 6 and "more-campaigns" not in everything


@pytest.mark.parametrize("value", ["-1", "x", "99999999", "²"])
def test_nonsense_in_the_address_shows_the_usual_number(cast: Cast, sign_in: SignIn, value: str) -> None:
    answer = sign_in(cast.marketer).get("/", {"shown": value})
    assert answer.status_code == 200 and len(shown(answer.content.decode())) == 1
