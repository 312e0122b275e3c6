"""Forms about campaigns and limits."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from studio.domain.errors import Invalid
from studio.models import AdFormat, BrandKit, Team, User
from studio.services.campaigns import BRIEF, Plan
from studio.web.texts import error_text

#: Pictures of one format that a campaign can need.
MOST_OF_A_FORMAT = 9999


class CampaignForm(forms.Form):
    """A campaign's plan. Each ticked format has its number of pictures in `count-<key>`."""

    team = forms.ModelChoiceField(queryset=Team.objects.none(), error_messages={
        "invalid_choice": _("Choose one of your teams."), "required": _("Choose one of your teams.")})
    name_zh = forms.CharField(required=False, max_length=80)
    name_en = forms.CharField(required=False, max_length=80)
    starts_on = forms.DateField(required=False, error_messages={"invalid": _("Write the date as year-month-day.")})
    deadline = forms.DateField(required=False, error_messages={"invalid": _("Write the date as year-month-day.")})
    goal = forms.CharField(required=False)
    audience = forms.CharField(required=False)
    message = forms.CharField(required=False)
    dos = forms.CharField(required=False)
    donts = forms.CharField(required=False)
    budget = forms.IntegerField(required=False, min_value=0, max_value=10_000_000, error_messages={
        "invalid": _("Write the budget as a whole number of pictures, or leave it empty."),
        "min_value": _("Write the budget as a whole number of pictures, or leave it empty."),
        "max_value": _("Write the budget as a whole number of pictures, or leave it empty.")})
    brand_kit = forms.ModelChoiceField(queryset=BrandKit.objects.none(), required=False, error_messages={
        "invalid_choice": _("Choose one of the team's brand kits.")})
    people = forms.ModelMultipleChoiceField(queryset=User.objects.none(), required=False, error_messages={
        "invalid_choice": _("Only people of the team can take part."),
        "invalid_pk_value": _("Only people of the team can take part.")})
    formats = forms.ModelMultipleChoiceField(
        queryset=AdFormat.objects.filter(active=True), required=False,
        error_messages={"invalid_choice": _("There is no format called “%(value)s”.")})
    seen = forms.CharField(required=False)

    def __init__(self, *args: Any, teams: list[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: forms.ModelChoiceField[Team] = self.fields["team"]  # type: ignore[assignment]  # fields are typed as Field
        choice.queryset = Team.objects.filter(pk__in=teams)
        choice.initial = teams[0] if teams else None
        kits: forms.ModelChoiceField[BrandKit] = self.fields["brand_kit"]  # type: ignore[assignment]  # as above
        kits.queryset = BrandKit.objects.filter(team__in=teams, archived_at=None)
        people: forms.ModelMultipleChoiceField[User] = self.fields["people"]  # type: ignore[assignment]  # as above
        people.queryset = User.objects.filter(memberships__team__in=teams).distinct().order_by("name")
        self._needs: dict[AdFormat, int] = {}

    def clean(self) -> dict[str, Any]:
        """Build the plan; `service` refusals are added by `refuse`."""
        data = self.cleaned_data
        needs: dict[AdFormat, int] = {}
        for preset in data.get("formats") or []:
            text = str(self.data.get(f"count-{preset.pk}", "1")).strip() or "1"
            if not text.isdecimal() or not 1 <= int(text[:9]) <= MOST_OF_A_FORMAT:
                self.add_error("formats", _("Write how many pictures of each format are needed, as a whole number."))
                break
            needs[preset] = int(text)
        self._needs = needs
        return data

    def plan(self) -> Plan:
        """What was written. Only after `is_valid()` was true."""
        data = self.cleaned_data
        return Plan(
            needs=self._needs, people=tuple(data["people"].order_by("pk")), **{name: data[name] for name in (
                "name_zh", "name_en", "starts_on", "deadline", *BRIEF, "budget", "brand_kit")})

    def refuse(self, error: Invalid) -> None:
        """Show a refusal beside its field."""
        self.add_error(error.field if error.field in self.fields else None, error_text(error))

    def counts(self) -> dict[str, str]:
        """The number beside each format, as it is shown."""
        if self.is_bound:
            return {key: str(self.data.get(f"count-{key}", "1")) for key in map(str, self["formats"].value() or [])}
        return {key: str(count) for key, count in (self.initial.get("counts") or {}).items()}


class LimitForm(forms.Form):
    """A team's pictures per month."""

    limit = forms.IntegerField(error_messages={
        "invalid": _("Write the limit as a whole number."), "required": _("Write the limit as a whole number.")})
    confirm = forms.BooleanField(required=False)
