"""Campaigns: plan one, change it, copy it, put it away."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import date
from secrets import token_hex

from django.db import transaction
from django.utils.text import slugify

from studio import permissions
from studio.domain.errors import BudgetExceeded, Conflict, Invalid
from studio.domain.i18n import gettext_noop as _
from studio.domain.states import JobStatus
from studio.models import AdFormat, BrandKit, Campaign, CampaignFormat, RenderJob, Team, User
from studio.services import activity

#: Characters of each part of the brief.
MAX_BRIEF_CHARS = 4000
BRIEF = ("goal", "audience", "message", "dos", "donts")
Status = Campaign.Status


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about a campaign that people write. `needs`: approved pictures wanted, by format."""

    name_zh: str = ""
    name_en: str = ""
    starts_on: date | None = None
    deadline: date | None = None
    goal: str = ""
    audience: str = ""
    message: str = ""
    dos: str = ""
    donts: str = ""
    budget: int | None = None
    brand_kit: BrandKit | None = None
    needs: dict[AdFormat, int] = field(default_factory=dict)
    people: tuple[User, ...] = ()

    @classmethod
    def of(cls, campaign: Campaign) -> Plan:
        """That of a stored campaign."""
        needs = campaign.needs.select_related("adformat").order_by("adformat__position", "adformat")
        return cls(
            **{name: getattr(campaign, name) for name in _COLUMNS},
            needs={need.adformat: need.count for need in needs}, people=tuple(campaign.people.order_by("pk")))

    @property
    def mark(self) -> str:
        """Changes with everything in it: tells whether a form is of this plan or of an earlier one."""
        parts = [str(getattr(self, name)) for name in _COLUMNS] + [str(self.brand_kit and self.brand_kit.pk)]
        parts += [f"{preset.pk}:{count}" for preset, count in sorted(self.needs.items(), key=lambda one: one[0].pk)]
        parts += [str(user.pk) for user in self.people]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


_COLUMNS = ("name_zh", "name_en", "starts_on", "deadline", *BRIEF, "budget", "brand_kit")


def create(*, user: User, team: Team, plan: Plan, status: Status = Status.RUNNING) -> Campaign:
    """Make a campaign; its address comes from the English name. Raises Forbidden, Invalid."""
    permissions.require(user, "campaign.create", team)
    _check(plan, team)
    with transaction.atomic(durable=True):
        campaign = _make(user, team, plan, status)
        activity.record(verb="campaign.created", actor=user, campaign=campaign)
    return campaign


def _make(user: User, team: Team, plan: Plan, status: Status) -> Campaign:
    stem = slugify(plan.name_en)[:40].strip("-") or "campaign"
    campaign = Campaign.objects.create(
        team=team, slug=f"{stem}-{token_hex(3)}", status=status, created_by=user,
        **{name: getattr(plan, name) for name in _COLUMNS})
    _set(campaign, plan)
    return campaign


def _set(campaign: Campaign, plan: Plan) -> None:
    campaign.needs.all().delete()
    CampaignFormat.objects.bulk_create(
        CampaignFormat(campaign=campaign, adformat=preset, count=count) for preset, count in plan.needs.items())
    campaign.people.set(plan.people)


def change(*, user: User, campaign: Campaign, plan: Plan, seen: str) -> None:
    """Put `plan` in the place of the campaign's; `seen` is the mark of the one that the form was made from.

    Raises Forbidden, Invalid, or Conflict when somebody else has changed it since.
    """
    permissions.require(user, "campaign.edit", campaign)
    _check(plan, campaign.team)
    with transaction.atomic(durable=True):
        locked = Campaign.objects.select_for_update().get(pk=campaign.pk)
        if Plan.of(locked).mark != seen:
            raise Conflict(
                _("Somebody else has changed this campaign since you opened it."),
                hint=_("Your text is still here. Copy what you need, reload the page, and put it in again."))
        Campaign.objects.filter(pk=campaign.pk).update(**{name: getattr(plan, name) for name in _COLUMNS})
        _set(locked, plan)
        activity.record(verb="campaign.changed", actor=user, campaign=campaign)


def duplicate(*, user: User, campaign: Campaign) -> Campaign:
    """A copy of the plan, without dates and pictures, to be planned anew. Raises Forbidden."""
    permissions.require(user, "campaign.create", campaign.team)
    plan = Plan.of(campaign)
    copy = replace(plan, starts_on=None, deadline=None, name_zh=plan.name_zh and f"{plan.name_zh[:74]}（副本）",
                   name_en=plan.name_en and f"{plan.name_en[:73]} (copy)")
    with transaction.atomic(durable=True):
        made = _make(user, campaign.team, copy, Status.PLANNING)
        activity.record(verb="campaign.duplicated", actor=user, campaign=made)
    return made


def start(*, user: User, campaign: Campaign) -> bool:
    """From planning to running. False: it is not being planned any more. Raises Forbidden."""
    return _move(user, campaign, (Status.PLANNING,), Status.RUNNING, "campaign.started")


def archive(*, user: User, campaign: Campaign) -> bool:
    """Put the campaign away: its pictures stay, nothing new is rendered. False: it was put away before.

    Raises Forbidden, or Conflict while pictures wait or are rendered.
    """
    return _move(user, campaign, (Status.PLANNING, Status.RUNNING), Status.ARCHIVED, "campaign.archived")


def restore(*, user: User, campaign: Campaign) -> bool:
    """Take an archived campaign up again. False: it was not archived. Raises Forbidden."""
    return _move(user, campaign, (Status.ARCHIVED,), Status.RUNNING, "campaign.restored")


def _move(user: User, campaign: Campaign, sources: tuple[Status, ...], to: Status, verb: str) -> bool:
    permissions.require(user, "campaign.edit", campaign)
    with transaction.atomic(durable=True):
        # The row is locked first: whoever renders locks it, too, so no picture is queued meanwhile.
        if not Campaign.objects.filter(pk=campaign.pk, status__in=sources).update(status=to):
            return False
        if to == Status.ARCHIVED and RenderJob.objects.filter(campaign=campaign).open().exists():
            raise Conflict(_("Pictures of this campaign are still waiting or being rendered."),
                           hint=_("Wait until they are done, or cancel them; then archive it."))
        activity.record(verb=verb, actor=user, campaign=campaign)
    return True


def require_budget(campaign: Campaign, pictures: int) -> None:
    """Raise BudgetExceeded when `pictures` more are not in the campaign's budget.

    Exact inside a transaction that has written the campaign's row, which every request does.
    """
    left = budget_left(campaign)
    if left is not None and pictures > left:
        raise BudgetExceeded(needed=pictures, left=max(0, left))


def budget_left(campaign: Campaign) -> int | None:
    """Pictures that the budget leaves: delivered ones and those on their way count. None: there is no budget."""
    if campaign.budget is None:
        return None
    used = RenderJob.objects.filter(
        campaign=campaign, status__in=[JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE]).count()
    return campaign.budget - used


def _check(plan: Plan, team: Team) -> None:
    """Raises Invalid, naming the field."""
    if not (plan.name_zh or plan.name_en):
        raise Invalid(_("Give the campaign a name in Chinese, in English, or both."), field="name_zh")
    if plan.starts_on and plan.deadline and plan.starts_on > plan.deadline:
        raise Invalid(_("The campaign starts after its deadline."), field="starts_on")
    for name in BRIEF:
        if len(getattr(plan, name)) > MAX_BRIEF_CHARS:
            raise Invalid(_("Write at most %(limit)d characters here."), field=name, limit=MAX_BRIEF_CHARS)
    if plan.brand_kit and plan.brand_kit.team_id != team.pk:
        raise Invalid(_("This brand kit belongs to another team."), field="brand_kit")
    members = set(team.memberships.values_list("user", flat=True))
    if any(user.pk not in members for user in plan.people):
        raise Invalid(_("Only people of the team can take part."), field="people")
