from __future__ import annotations

import io
from datetime import date
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from studio.domain.errors import Forbidden
from studio.domain.roles import Role
from studio.models import Activity, Campaign, Membership, Team, User
from studio.services import accounts, campaigns
from tests.conftest import Cast
from tests.factories import ad_format


def test_a_role_is_given_changed_and_taken_away(
    cast: Cast, events: list[Any], django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        accounts.set_role(user=cast.stranger, team=cast.team, role=Role.VIEWER, actor=cast.admin)
        accounts.set_role(user=cast.stranger, team=cast.team, role=Role.ADMIN, actor=cast.admin)
        assert Membership.objects.get(user=cast.stranger, team=cast.team).role == "admin"
        accounts.set_role(user=cast.stranger, team=cast.team, role=None, actor=cast.admin)
    assert not Membership.objects.filter(user=cast.stranger, team=cast.team).exists()
    assert events == [(f"user.{cast.stranger.pk}", {"type": "access.changed"})] * 3
    assert [line.verb for line in Activity.objects.order_by("pk")] == ["member.added", "member.added", "member.removed"]


def test_a_known_person_keeps_name_and_password(cast: Cast) -> None:
    again = accounts.add_person(
        email=cast.stranger.email.upper(), name="Other", password="another one", team=cast.team, role=Role.VIEWER)
    again.refresh_from_db()
    assert again == cast.stranger and again.name == cast.stranger.name
    assert again.check_password("correct horse battery") and again.memberships.count() == 2


def test_only_a_persons_own_settings_are_changed(cast: Cast) -> None:
    accounts.change_settings(user=cast.viewer, language="zh-hans", theme="dark", hotkeys=False)
    found = User.objects.get(pk=cast.viewer.pk)
    assert (found.language, found.theme, found.hotkeys) == ("zh-hans", "dark", False)
    with pytest.raises(AssertionError):
        accounts.change_settings(user=cast.viewer, is_superuser=True)


@pytest.mark.parametrize(("name_en", "stem"), [
    ("Qixi, roses & gifts!", "qixi-roses-gifts-"), ("", "campaign-"), ("七夕", "campaign-"), ("x" * 80, "x" * 40 + "-"),
])
def test_a_campaign_gets_an_address_of_its_own(cast: Cast, name_en: str, stem: str) -> None:
    made = [campaigns.create(
        user=cast.marketer, team=cast.team, plan=campaigns.Plan(
            name_zh="七夕", name_en=name_en, deadline=date(2027, 1, 1), needs={ad_format(): 1})) for _ in range(2)]
    assert all(c.slug.startswith(stem) for c in made) and made[0].slug != made[1].slug
    assert made[0].formats.get() == ad_format() and made[0].status == Campaign.Status.RUNNING


@pytest.mark.parametrize("who", ["viewer", "stranger"])
def test_viewers_and_strangers_make_no_campaign(cast: Cast, who: str) -> None:
    with pytest.raises(Forbidden):
        campaigns.create(user=cast.person(who), team=cast.team, plan=campaigns.Plan(name_zh="x"))


def test_a_person_is_added_from_the_command_line(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(password: str, email: str = "Ann@Example.com") -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
        call_command("add_person", email, name="Ann", team="Brand Team", role="admin", stdout=io.StringIO())

    add("a long enough one")
    assert User.objects.get().email == "ann@example.com" and Membership.objects.get().role == "admin"
    assert Team.objects.get().slug == "brand-team"
    for password, email in (("short", "b@example.com"), ("a long enough one", "no address")):
        with pytest.raises(CommandError):
            add(password, email)
    assert User.objects.count() == 1


def test_teams_of_different_names_are_different_teams(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of which an address in Latin letters leaves the same, or nothing."""
    for number, team in enumerate(("品牌组", "市场部", "品牌 A", "市场 A", "品牌组", "Brand", "brand")):
        monkeypatch.setattr("sys.stdin", io.StringIO("a long enough one\n"))
        call_command("add_person", f"p{number}@example.com", name="Ann", team=team, role="admin", stdout=io.StringIO())
    people = dict(Membership.objects.values_list("user__email", "team"))
    teams = [people[f"p{number}@example.com"] for number in range(7)]
    assert len(set(teams[:4])) == 4 and teams[4] == teams[0] and teams[5] == teams[6]
    assert Team.objects.get(pk=teams[0]).name_zh == "品牌组" and Team.objects.get(pk=teams[5]).name_en == "Brand"


@pytest.mark.parametrize("change", [{"name": "x" * 61}, {"name": " "}, {"team": "x" * 81}, {"team": ""}])
def test_a_name_that_does_not_fit_is_refused(
    db: None, monkeypatch: pytest.MonkeyPatch, change: dict[str, str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a long enough one\n"))
    with pytest.raises(CommandError, match=f"--{next(iter(change))}"):
        call_command("add_person", "p@example.com", **({"name": "Ann", "team": "Brand", "role": "admin"} | change))
    assert not User.objects.exists() and not Team.objects.exists()
