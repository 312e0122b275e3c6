"""The composer's form."""

from __future__ import annotations

import re
from secrets import randbelow
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from studio.domain.errors import Invalid
from studio.domain.priority import Priority
from studio.domain.spec import MAX_SEED, SAMPLER, SAMPLER_LABELS, STEPS, RenderRequest, Target
from studio.models import AdFormat, RenderBatch, TemplateVersion
from studio.models.templates import TemplateVersionQuerySet
from studio.services.renders import OWN_WORDS, Origin
from studio.web import model
from studio.web.forms.filling import PREFIX, Filling
from studio.web.forms.guides import GuideFields, from_batch
from studio.web.texts import error_text

CUSTOM = "custom"
#: Classes that a person can ask for.
WISHES = {"urgent": Priority.URGENT, "batch": Priority.BATCH}
#: Two seeds: as many pictures as from the first to the second.
_RANGE = re.compile(r"(\d{1,10})\s*[-–—~～至]\s*(\d{1,10})")
#: Where an error of the domain is shown, when not at the field of the same name.
_SHOWN_AT = {"width": "custom_width", "height": "custom_height"}


class RenderForm(GuideFields):
    """Prompt in two languages, formats, count, seed, steps, sampler, and what leads the picture.

    `request()` gives the validated domain value.
    """

    prompt_zh = forms.CharField(required=False, strip=False, widget=forms.Textarea)
    prompt_en = forms.CharField(required=False, strip=False, widget=forms.Textarea)
    formats = forms.MultipleChoiceField(
        required=False, error_messages={"invalid_choice": _("There is no format called “%(value)s”.")})
    custom_width = forms.IntegerField(
        required=False, error_messages={"invalid": _("Write the width as a whole number of pixels.")})
    custom_height = forms.IntegerField(
        required=False, error_messages={"invalid": _("Write the height as a whole number of pixels.")})
    count = forms.IntegerField(error_messages={
        "invalid": _("Write the number of pictures as a whole number."),
        "required": _("Say how many pictures per format.")})
    #: A number, or a range such as 100-107, which sets the count.
    seed = forms.CharField(required=False)
    seed_locked = forms.BooleanField(required=False)
    steps = forms.IntegerField(
        required=False, error_messages={"invalid": _("Write the number of steps as a whole number.")})
    sampler = forms.ChoiceField(
        required=False, choices=SAMPLER_LABELS.items(),
        error_messages={"invalid_choice": _("There is no sampler called “%(value)s”.")})
    #: Empty: the campaign's deadline decides.
    when = forms.ChoiceField(
        required=False, choices=[(name, name) for name in ("", *WISHES)],
        error_messages={"invalid_choice": _("Renders are automatic, urgent or in the background.")})
    #: Empty: own words.
    version = forms.ModelChoiceField(TemplateVersion.objects.none(), required=False, error_messages={
        "invalid_choice": _("This template is no longer offered. Choose another one, or write own words.")})
    request_key = forms.UUIDField(error_messages={
        "invalid": _("Reload the page and press Render again."),
        "required": _("Reload the page and press Render again.")})

    def __init__(
        self, *args: Any, why_not_urgent: str = "", versions: TemplateVersionQuerySet | None = None, **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._why_not_urgent = why_not_urgent
        #: The templates that can be used here.
        self.versions = [] if versions is None else list(versions)
        offered: forms.ModelChoiceField[TemplateVersion] = self.fields["version"]  # type: ignore[assignment]  # as below
        offered.queryset = TemplateVersion.objects.none() if versions is None else versions
        self.filling = self._filling()
        self._origin = OWN_WORDS
        card = model.card()
        #: What an empty number of steps stands for.
        self.model_steps = card.steps if card else STEPS
        #: Whether guidance and a negative prompt do anything, and what an empty guidance stands for.
        self.guides = bool(card and card.guides)
        self.model_guidance = card.guidance if card and card.guides else 0.0
        self.presets = list(AdFormat.objects.filter(active=True))
        chosen: forms.MultipleChoiceField = self.fields["formats"]  # type: ignore[assignment]  # fields are typed as Field
        chosen.choices = [(preset.key, str(preset)) for preset in self.presets] + [(CUSTOM, CUSTOM)]
        self._request: RenderRequest | None = None

    def clean(self) -> dict[str, Any]:
        """Build the domain value; its refusals become errors beside the fields."""
        data = super().clean()
        if self.filling and data.get("version"):
            self._fill(self.filling, data)
        if self.errors:
            return data
        seed = randbelow(MAX_SEED + 1) if data["seed"] is None else data["seed"]
        try:
            self._request = RenderRequest(
                prompt_zh=data["prompt_zh"], prompt_en=data["prompt_en"], targets=tuple(self._targets()),
                count=data["count"], seed=seed, sampler=data["sampler"] or SAMPLER,
                steps=self.model_steps if data["steps"] is None else data["steps"],
                guidance=self.model_guidance if data["guidance"] is None else data["guidance"],
                negative=data["negative"], start=self.start(), control=self.led_by(), loras=self.lora_requests())
        except Invalid as error:
            self.refuse(error)
        return data

    def _filling(self) -> Filling | None:
        """The template that the form shows, with what its variables hold."""
        pk = str((self.data if self.is_bound else self.initial).get("version") or "")
        version = next((one for one in self.versions if str(one.pk) == pk), None)
        if version is None:
            return None
        try:
            return Filling(version, self.data if self.is_bound else self.initial)
        except Invalid:
            return None

    def _fill(self, filling: Filling, data: dict[str, Any]) -> None:
        values = filling.values(data.get("source"))
        if values is None:
            self.add_error("version", gettext("Fill in what the template asks for."))
            return
        fixed = filling.fixed()
        if "formats" in fixed:  # those that are still offered
            fixed["formats"] = [preset.key for preset in self.presets if preset.key in fixed["formats"]]
        data |= fixed
        data["prompt_zh"], data["prompt_en"] = filling.text.fill(values)
        self._origin = Origin(filling.version, values)

    def clean_seed(self) -> int | None:
        """The seed, or the first of a range; the range sets the count."""
        text: str = self.cleaned_data["seed"].strip()
        if not text:
            return None
        found = _RANGE.fullmatch(text)
        if found:
            first, last = int(found[1]), int(found[2])
            if last < first:
                raise forms.ValidationError(gettext("A range of seeds runs from the lower to the higher one."))
            self.cleaned_data["count"] = last - first + 1
            return first
        try:
            return int(text)
        except ValueError:
            raise forms.ValidationError(
                gettext("The seed is a whole number, a range such as 100–107, or empty for a random one.")) from None

    def origin(self) -> Origin:
        """The template it was written with. Only after `is_valid()` was true."""
        return self._origin

    def clean_when(self) -> str:
        """Urgency only for those who may ask for it."""
        when: str = self.cleaned_data["when"]
        if self._why_not_urgent and when == "urgent":
            raise forms.ValidationError(gettext(self._why_not_urgent))
        return when

    @property
    def wanted(self) -> Priority | None:
        """The class that is wished for. Only after `is_valid()` was true."""
        return WISHES.get(self.cleaned_data["when"])

    def refuse(self, error: Invalid) -> None:
        """Show a refusal beside its field."""
        field = _SHOWN_AT.get(error.field, error.field)
        self.add_error(field if field in self.fields else None, error_text(error))

    def _targets(self) -> list[Target]:
        presets = {preset.key: preset for preset in self.presets}
        targets = []
        for key in dict.fromkeys(self.cleaned_data["formats"]):
            if key == CUSTOM:
                width, height = self.cleaned_data["custom_width"], self.cleaned_data["custom_height"]
                if width is None or height is None:
                    raise Invalid(gettext("Write the custom size's width and height in pixels."), field="width")
                targets.append(Target("", width, height))
            else:
                targets.append(Target(key, presets[key].width, presets[key].height))
        return targets

    def request(self) -> RenderRequest:
        """The validated request. Only after `is_valid()` was true."""
        assert self._request is not None, "ask is_valid() first"
        return self._request

    @property
    def key(self) -> UUID:
        """The page's request key."""
        key: UUID = self.cleaned_data["request_key"]
        return key

    @property
    def shown_prompts(self) -> dict[str, str]:
        """What the two prompts say: what was typed, or what the template makes of its variables."""
        if self.filling:
            return dict(zip(("zh", "en"), self.filling.prompts(), strict=True))
        return {language: str(self[f"prompt_{language}"].value() or "") for language in ("zh", "en")}

    def chosen(self) -> set[str]:
        """Keys of the formats that are ticked."""
        return set(self["formats"].value() or [])

    def when_name(self) -> str:
        """The class that the form shows as chosen; empty for "automatic"."""
        when = str(self["when"].value() or "")
        return when if when in WISHES else ""

    def sampler_name(self) -> str:
        """The sampler that the list shows as chosen."""
        return SAMPLER_LABELS.get(self["sampler"].value(), SAMPLER_LABELS[SAMPLER])

    def step_count(self) -> int | None:
        """The steps that are asked for; None for what is no number."""
        text = str(self["steps"].value() or self.model_steps).strip()
        return int(text) if text.isdecimal() and len(text) < 4 else None


def fresh(
    batch: RenderBatch | None, *, formats: list[str], seed: int | None = None, inputs: bool = True,
    just_sent: bool = False, versions: TemplateVersionQuerySet | None = None,
) -> RenderForm:
    """A composer filled from an earlier batch, with a new request key; with its pictures unless `inputs` is False.

    Steps and guidance that a model of the other kind was asked for, with guidance or without, are left
    to this one, unless the batch was `just_sent` to it. What was rendered in the background is so again; to be
    urgent is asked for each time.
    """
    initial: dict[str, Any] = {"request_key": uuid4(), "count": 2, "formats": formats, "sampler": SAMPLER}
    if batch:
        initial |= from_batch(batch, inputs=inputs)
        initial |= {"prompt_zh": batch.prompt_zh, "prompt_en": batch.prompt_en, "count": batch.count,
                    "steps": batch.steps, "sampler": batch.sampler, "when": _when(batch), "version": batch.version_id}
        initial |= {f"{PREFIX}{name}-{language}": text for name, value in batch.values.items()
                    for language, text in value.items()}
    if seed is not None:
        initial |= {"seed": seed, "seed_locked": True}
    form = RenderForm(initial=initial, versions=versions)
    form.initial.setdefault("steps", form.model_steps)
    if not form.guides or not batch:
        form.initial["guidance"] = form.model_guidance
    if batch and not just_sent and bool(batch.guidance) != form.guides:
        form.initial.update(steps=form.model_steps, guidance=form.model_guidance)
    return form


def _when(batch: RenderBatch) -> str:
    background = batch.jobs.filter(priority=Priority.BATCH).exists()
    return "batch" if background else ""


def typed(data: QueryDict) -> dict[str, Any]:
    """What was typed, as initial values: not judged yet."""
    found: dict[str, Any] = {name: value for name, value in data.items()
                             if name in RenderForm.base_fields or name.startswith(PREFIX)}
    found["loras"] = [{"name": name, "weight": data.get(f"lora_weight_{name}", "")} for name in data.getlist("lora")]
    return found | {"formats": data.getlist("formats"), "seed_locked": bool(data.get("seed_locked"))}
