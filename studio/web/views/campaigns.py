"""A campaign as a plan: make one, change it, see how it stands, put it away."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import resolve_url
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from studio import permissions
from studio.domain.errors import Conflict, Forbidden, Invalid
from studio.models import AdFormat, Campaign, Team
from studio.services import campaigns
from studio.services.campaigns import Plan
from studio.web import campaign_bar
from studio.web.forms.campaigns import CampaignForm
from studio.web.http import StudioRequest, page, say, signed_in
from studio.web.overview import overview as numbers
from studio.web.texts import error_hint, error_text
from studio.web.views.studio import visible_campaign


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def new(request: StudioRequest) -> HttpResponse:
    """Make a campaign and go to its studio."""
    teams = permissions.teams_with(request.user, "campaign.create")
    if not teams:
        raise Forbidden(permissions.MAKERS_REASON)
    form = CampaignForm(request.POST or None, teams=teams)
    if request.method == "POST" and form.is_valid():
        try:
            campaign = campaigns.create(user=request.user, team=form.cleaned_data["team"], plan=form.plan())
        except Invalid as error:
            form.refuse(error)
        else:
            say(request, gettext("The campaign is ready."))
            return HttpResponseRedirect(resolve_url("studio", campaign.slug))
    return _form(request, form, {"teams": Team.objects.filter(pk__in=teams).order_by("slug")})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def edit(request: StudioRequest, slug: str) -> HttpResponse:
    """Change the plan. Somebody else's change in between is never overwritten."""
    campaign = visible_campaign(request, slug)
    permissions.require(request.user, "campaign.edit", campaign)
    plan, team = Plan.of(campaign), [campaign.team_id]
    if request.method != "POST":
        initial = {name: getattr(plan, name) for name in (
            "name_zh", "name_en", "starts_on", "deadline", *campaigns.BRIEF, "budget", "brand_kit")}
        form = CampaignForm(teams=team, initial=initial | {
            "formats": [preset.pk for preset in plan.needs], "people": [user.pk for user in plan.people],
            "counts": {preset.pk: count for preset, count in plan.needs.items()}, "seen": plan.mark})
        return _form(request, form, {"campaign": campaign})
    data = request.POST.copy()
    data["team"] = str(campaign.team_id)
    form = CampaignForm(data, teams=team)
    if form.is_valid():
        try:
            campaigns.change(user=request.user, campaign=campaign, plan=form.plan(), seen=form.cleaned_data["seen"])
        except Invalid as error:
            form.refuse(error)
        except Conflict as error:
            form.add_error(None, f"{error_text(error)} {error_hint(error)}")
            return _form(request, form, {"campaign": campaign}, status=409)
        else:
            say(request, gettext("The campaign is saved."))
            return HttpResponseRedirect(resolve_url("overview", slug))
    return _form(request, form, {"campaign": campaign})


def _form(request: StudioRequest, form: CampaignForm, more: dict[str, Any], *, status: int = 200) -> HttpResponse:
    chosen, counts = set(map(str, form["formats"].value() or [])), form.counts()
    presets = list(AdFormat.objects.filter(active=True))
    for preset in presets:
        preset.wanted = counts.get(preset.pk, "1")  # type: ignore[attr-defined]  # for the page
    return page(request, "studio/campaign_form.html", {
        "nav": "home", "form": form, "presets": presets, "chosen": chosen, "campaign": None,
        "members": form.fields["people"].queryset if more.get("campaign") else [],  # type: ignore[attr-defined]  # as in the form
        "taking_part": {str(pk) for pk in form["people"].value() or []}, **more},
        status=422 if form.errors and status == 200 else status)


@require_safe
@signed_in
def overview(request: StudioRequest, slug: str) -> HttpResponse:
    """The brief, and how far the campaign is."""
    campaign = visible_campaign(request, slug)
    return page(request, "studio/overview.html", {
        "nav": "home", "tab": "overview", "campaign": campaign, "people": campaign.people.order_by("name"),
        "budget_left": campaigns.budget_left(campaign), "brief": _brief(campaign),
        "may_edit": permissions.decide(request.user, "campaign.edit", campaign),
        **numbers(campaign), **campaign_bar.counts(campaign)})


def _brief(campaign: Campaign) -> list[tuple[str, str]]:
    """(heading, text) of what is written."""
    headings = {"goal": gettext("Goal"), "audience": gettext("Audience"), "message": gettext("Message"),
                "dos": gettext("Do"), "donts": gettext("Don't")}
    return [(heading, getattr(campaign, name)) for name, heading in headings.items() if getattr(campaign, name)]


@require_POST
@signed_in
def act(request: StudioRequest, slug: str) -> HttpResponse:
    """`do`: duplicate, start, archive or restore."""
    campaign = visible_campaign(request, slug)
    match request.POST.get("do", ""):
        case "duplicate":
            made = campaigns.duplicate(user=request.user, campaign=campaign)
            say(request, gettext("This is the copy. Give it dates and a name of its own."))
            return HttpResponseRedirect(resolve_url("campaign-edit", made.slug))
        case "start":
            campaigns.start(user=request.user, campaign=campaign)
        case "archive":
            try:
                campaigns.archive(user=request.user, campaign=campaign)
            except Conflict as error:
                say(request, f"{error_text(error)} {error_hint(error)}")
            else:
                say(request, gettext("The campaign is archived."))
        case "restore":
            campaigns.restore(user=request.user, campaign=campaign)
        case _:
            raise Http404
    return HttpResponseRedirect(resolve_url("overview", slug))
