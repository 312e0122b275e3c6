"""What the composer shows: from which batch, draft or template it is filled, and everything around the fields."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from django.http import QueryDict
from django.utils import timezone

from studio import permissions
from studio.domain.guides import Task
from studio.domain.priority import priority_for, why_not_urgent
from studio.domain.prompting import MAX_PROMPT_CHARS
from studio.domain.spec import MAX_COUNT, MAX_PICTURES, MAX_SEED, MAX_STEPS, SAMPLER_LABELS
from studio.models import AdFormat, Asset, Campaign, Draft, QuotaAccount, TemplateVersion, User
from studio.models.templates import TemplateVersionQuerySet
from studio.services import campaigns, guides, quotas
from studio.templatetags.studio_words import KINDS
from studio.web import model, slots
from studio.web.forms.filling import PREFIX, Filling
from studio.web.forms.renders import CUSTOM, RenderForm, fresh, typed
from studio.web.http import StudioRequest

#: Formats offered first in a campaign that names none.
FORMATS_SHOWN = 5


def versions(campaign: Campaign) -> TemplateVersionQuerySet:
    """The templates offered in the campaign."""
    return TemplateVersion.objects.usable_in(campaign)


def form_of(campaign: Campaign, initial: dict[str, Any]) -> RenderForm:
    """A composer that shows `initial`, with a request key of its own."""
    return RenderForm(initial=initial | {"request_key": uuid4()}, versions=versions(campaign))


def opened(request: StudioRequest, campaign: Campaign) -> tuple[RenderForm, Draft | None]:
    """The composer as the page opens with it, and the draft it shows.

    `?reuse=` an asset, `?batch=` a number of the campaign, `?template=` a version, `?start=` a picture; without
    them the person's draft, or else their last batch.
    """
    form = _reused(request, campaign) or _of_batch(campaign, request.GET.get("batch", ""))
    begin = slots.finished(request, campaign, request.GET.get("start", ""))
    template = request.GET.get("template", "")
    if not (form or begin or template):
        draft = Draft.objects.filter(user=request.user, campaign=campaign).first()
        if draft:
            return form_of(campaign, typed(restored(draft.fields))), draft
    if form is None:
        wanted = list(campaign.formats.filter(active=True).values_list("key", flat=True)[:2])
        last = campaign.batches.filter(requested_by=request.user).order_by("-number").first()
        form = fresh(last, formats=wanted or ["xiaohongshu-3x4"], versions=versions(campaign))
    if begin:
        form.initial.update(task=Task.IMAGE.value, source=None, mask=None, source_asset=begin)
    if template:
        form = form_of(campaign, chosen(form, template))
    return form, None


def _reused(request: StudioRequest, campaign: Campaign) -> RenderForm | None:
    reuse = request.GET.get("reuse", "")
    if not (reuse.isdecimal() and len(reuse) < 18):
        return None
    asset = Asset.objects.visible_to(request.user).filter(pk=reuse).select_related("job__batch").first()
    if asset is None:
        return None
    form = fresh(asset.job.batch, formats=[asset.ad_format_id or CUSTOM], seed=asset.job.seed,
                 inputs=asset.campaign_id == campaign.pk, versions=versions(campaign))
    if not asset.ad_format_id:
        form.initial.update(custom_width=asset.width, custom_height=asset.height)
    return form


def _of_batch(campaign: Campaign, number: str) -> RenderForm | None:
    if not (number.isdecimal() and len(number) < 9):
        return None
    batch = campaign.batches.filter(number=number).first()
    if batch is None:
        return None
    keys = batch.jobs.order_by("position").values_list("ad_format", flat=True)
    return fresh(batch, formats=[key for key in dict.fromkeys(keys) if key], versions=versions(campaign))


def restored(fields: dict[str, list[str]]) -> QueryDict:
    """A draft's fields as a form posts them."""
    data = QueryDict(mutable=True)
    for name, values in fields.items():
        data.setlist(name, values)
    return data


def chosen(form: RenderForm, version: str) -> dict[str, Any]:
    """What `form` shows, with a template's settings and its variables at their defaults; "" for own words."""
    initial = {name: value for name, value in form.initial.items() if not name.startswith(PREFIX)}
    found = next((one for one in form.versions if str(one.pk) == version), None)
    if found is None:
        return initial | {"version": ""}
    filling = Filling(found, {})
    if filling.picture:
        initial["task"] = Task.IMAGE.value
    return initial | filling.settings() | {"version": found.pk}


def _shaped(presets: list[AdFormat]) -> list[AdFormat]:
    """Give each format the sides of its outline in the composer, in pixels."""
    for preset in presets:
        scale = min(46 / preset.width, 36 / preset.height)
        preset.shape = (max(4, preset.width * scale), max(4, preset.height * scale))  # type: ignore[attr-defined]
    return presets


def context(request: StudioRequest, campaign: Campaign, form: RenderForm) -> dict[str, Any]:
    """What _composer.html reads, besides the lane's numbers."""
    wanted = set(campaign.formats.values_list("key", flat=True)) or {p.key for p in form.presets[:FORMATS_SHOWN]}
    presets = _shaped(form.presets)
    chosen = form.chosen()
    count = str(form["count"].value())
    return {
        "form": form, "chosen": chosen, "presets": [preset for preset in presets if preset.key in wanted],
        "others": [preset for preset in presets if preset.key not in wanted],
        "others_chosen": sum(key not in wanted and key != CUSTOM for key in chosen),
        "pictures": len(chosen) * int(count) if count.isdecimal() and len(count) < 4 else 0,
        "prompt_limit": MAX_PROMPT_CHARS, "count_limit": MAX_COUNT, "seed_limit": MAX_SEED,
        "pictures_limit": MAX_PICTURES, "steps_limit": MAX_STEPS, "samplers": SAMPLER_LABELS,
        "model": model.card(), "world": model.world(), "quota": quota(campaign),
        "budget_left": campaigns.budget_left(campaign),
        "has_control": guides.control_available(), "no_control": guides.NO_CONTROL, "kinds": KINDS,
        **when(campaign, request.user), "slots": slots.filled(
            campaign, {name: form[name].value() for name in slots.ROLES}, form.errors,
            form.initial.get("source_asset")),
    }


def when(campaign: Campaign, user: User) -> dict[str, Any]:
    """What the choice of a class says: which one "automatic" is now and why, and who can't be urgent why not."""
    today = timezone.localdate()
    return {
        "automatic": priority_for(None, role=None, deadline=campaign.deadline, today=today),
        "days_left": (campaign.deadline - today).days if campaign.deadline else None,
        "why_not_urgent": why_not_urgent(
            role=permissions.role_in(user, campaign.team_id), deadline=campaign.deadline, today=today)}


def quota(campaign: Campaign) -> QuotaAccount:
    """The team's month."""
    return quotas.account_for(campaign.team, timezone.localdate())
