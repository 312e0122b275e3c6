"""What the composer asks while it is filled in: keep a picture, count tokens."""

from __future__ import annotations

from django.http import HttpResponse, JsonResponse
from django.views.decorators.http import require_POST

from studio import permissions
from studio import tokens as counter
from studio.domain.errors import Invalid
from studio.domain.prompting import clean_prompt, join_prompts
from studio.domain.templating import MAX_VARIABLES
from studio.models import Campaign
from studio.services import terms
from studio.web import model, slots
from studio.web.http import StudioRequest, page, signed_in
from studio.web.texts import error_hint, error_text
from studio.web.views.studio import visible_campaign


@require_POST
@signed_in
def add_input(request: StudioRequest, slug: str) -> HttpResponse:
    """Keep an uploaded picture; the answer is the composer's slot for it, with the reason when it was refused.

    `field` is the slot (source, mask, control), its file comes as `<field>_file`. `remove` empties the slot.
    """
    campaign = visible_campaign(request, slug)
    permissions.require(request.user, "render.create", campaign)
    field = request.POST.get("field", "")
    if field not in slots.ROLES:
        return HttpResponse(status=404)
    errors: list[str] = []
    row = None
    if "remove" not in request.POST:
        try:
            row = slots.keep(request, campaign, field)
        except Invalid as error:
            errors.append(f"{error_text(error)} {error_hint(error)}".strip())
    return page(request, "studio/_slot.html", {
        "campaign": campaign, "slot": slots.Slot(field, row, errors=errors)}, status=422 if errors else 200)


@require_POST
@signed_in
def tokens(request: StudioRequest) -> HttpResponse:
    """How many tokens the two prompts have together, null when that can't be said; and words to be careful with.

    `value` (several): what is typed into a template's variables. `campaign`: the slug of the one whose brand kit
    has words of its own.
    """
    card = model.card()
    limit = card.max_tokens if card else 0
    try:
        prompts = [clean_prompt(request.POST.get(name, ""), field=name) for name in ("prompt_zh", "prompt_en")]
        found = counter.count(model.tokenizer_file(), join_prompts(*prompts)) if any(prompts) else 0
        texts = terms.picture_texts(prompts) + request.POST.getlist("value")[:MAX_VARIABLES * 2]
    except Invalid:
        found, texts = None, []
    slug = request.POST.get("campaign", "").replace("\0", "")
    campaign = Campaign.objects.visible_to(request.user).select_related("brand_kit").filter(slug=slug).first()
    words = [one.found for one in terms.findings(campaign.brand_kit if campaign else None, texts)]
    return JsonResponse({"tokens": found, "limit": limit, "words": words})
