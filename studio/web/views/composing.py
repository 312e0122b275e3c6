"""What the composer asks besides rendering: keep a draft, fill a template, expand an idea, look up earlier prompts."""

from __future__ import annotations

from django.db.models import Max
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.shortcuts import resolve_url
from django.template.defaultfilters import date as date_text
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from studio import permissions
from studio.domain.errors import Invalid
from studio.models import RenderBatch
from studio.services import drafts
from studio.web import campaign_bar, composing
from studio.web.forms.filling import PREFIX
from studio.web.forms.renders import RenderForm, typed
from studio.web.http import StudioRequest, page, signed_in
from studio.web.texts import error_text
from studio.web.views.studio import visible_campaign

#: Earlier prompts that are listed.
PROMPTS_SHOWN = 40
#: Fields of the composer that no draft keeps: they are made anew with each page.
_FRESH = ("csrfmiddlewaretoken", "request_key", "choose", "expand", "idea", "remove")


def _kept(data: QueryDict) -> dict[str, list[str]]:
    """The fields that make a draft. PostgreSQL takes no NUL, and no half of a character."""
    named = {**RenderForm.base_fields, "lora": None}
    return {name: [value.replace("\0", "").encode("utf-8", "ignore").decode() for value in data.getlist(name)]
            for name in data if name not in _FRESH and (
                name in named or (name.startswith((PREFIX, "lora_weight_")) and name.isprintable()))}


@require_POST
@signed_in
def draft(request: StudioRequest, slug: str) -> HttpResponse:
    """Keep what is typed; `discard` forgets it. The answer says when it was kept."""
    campaign = visible_campaign(request, slug)
    permissions.require(request.user, "render.create", campaign)
    if "discard" in request.POST:
        drafts.discard(user=request.user, campaign=campaign)
        studio = resolve_url("studio", slug)
        return HttpResponse(headers={"HX-Redirect": studio}) if request.htmx else HttpResponseRedirect(studio)
    try:
        kept = drafts.keep(user=request.user, campaign=campaign, fields=_kept(request.POST))
    except Invalid as error:
        return JsonResponse({"said": error_text(error)}, status=422)
    at = date_text(timezone.localtime(kept.saved_at), "H:i")
    return JsonResponse({"said": gettext("Draft saved at %(time)s") % {"time": at}})


@require_POST
@signed_in
def filled(request: StudioRequest, slug: str) -> HttpResponse:
    """What the chosen template makes of its variables, and what is wrong with each of them."""
    campaign = visible_campaign(request, slug)
    form = composing.form_of(campaign, typed(request.POST))
    if form.filling is None:
        return JsonResponse({"prompt_zh": None, "prompt_en": None, "errors": {}})
    zh, en = form.filling.prompts()
    form.filling.values(request.POST.get("source"))
    return JsonResponse({"prompt_zh": zh, "prompt_en": en, "errors": {
        hole.variable.name: hole.errors[0] for hole in form.filling.shown if hole.errors}})


@require_safe
@signed_in
def prompts(request: StudioRequest, slug: str) -> HttpResponse:
    """Earlier prompts of the campaign, one's own first, each to be taken up with all its settings."""
    campaign = visible_campaign(request, slug)
    newest = RenderBatch.objects.filter(campaign=campaign).values("prompt").annotate(last=Max("number"))
    numbers = [row["last"] for row in newest.order_by("-last")[:PROMPTS_SHOWN]]
    found = list(campaign.batches.filter(number__in=numbers).select_related("requested_by").order_by("-number"))
    found.sort(key=lambda batch: batch.requested_by_id != request.user.pk)
    return page(request, "studio/prompts.html", {
        "nav": "create", "tab": "studio", "campaign": campaign, "batches": found,
        **campaign_bar.counts(campaign)}, partial="studio/_prompts.html")
