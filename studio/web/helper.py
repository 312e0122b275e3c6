"""The prompt helper: an idea becomes a whole prompt, by the team's templates or by a small grammar."""

from __future__ import annotations

from random import SystemRandom

from django.http import QueryDict

from studio.domain.errors import Invalid
from studio.domain.ideas import GENERAL, Grammar, clean_idea, expand, fit
from studio.domain.variables import Value
from studio.domain.world import Word
from studio.models import Campaign, Product
from studio.web import composing, model
from studio.web.forms.filling import PREFIX
from studio.web.forms.renders import RenderForm, typed
from studio.web.texts import error_text


def expanded(campaign: Campaign, data: QueryDict) -> RenderForm:
    """The composer with the prompt that the idea in `data` becomes: by a template that it fits, or by the grammar."""
    initial = typed(data) | {"idea": data.get("idea", "")}
    form = composing.form_of(campaign, initial)
    try:
        idea = clean_idea(data.get("idea", ""))
    except Invalid as error:
        return composing.form_of(campaign, initial | {"idea_error": error_text(error)})
    products = [Value(one.name_zh, one.name_en) for one in Product.objects.filter(team=campaign.team_id)]
    found = fit(idea, {one.pk: one.text for one in form.versions}, products)
    if found is None:
        words = expand(idea, _grammar(), SystemRandom())
        return composing.form_of(campaign, initial | {
            "version": "", "prompt_zh": words.zh, "prompt_en": words.en})
    values = {f"{PREFIX}{name}-{language}": text for name, value in found.values.items()
              for language, text in value.as_json().items()}
    return composing.form_of(campaign, composing.chosen(form, str(found.key)) | values)


def _grammar() -> Grammar:
    """The words of the model's world; of every model, where the model is no demo."""
    world = model.world()
    if world is None:
        return GENERAL

    def pairs(words: tuple[Word, ...]) -> tuple[Value, ...]:
        return tuple(Value(word.name_zh, word.name_en) for word in words)

    return Grammar(pairs(world.things), pairs(world.grounds), pairs(world.styles), pairs(world.places))
