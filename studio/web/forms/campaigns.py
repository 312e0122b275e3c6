"""Forms about campaigns and limits."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from studio.models import AdFormat, Team


class CampaignForm(forms.Form):
    """A new campaign: names, deadline, formats."""

    team = forms.ModelChoiceField(queryset=Team.objects.none(), error_messages={
        "invalid_choice": _("Choose one of your teams."), "required": _("Choose one of your teams.")})
    name_zh = forms.CharField(required=False, max_length=80)
    name_en = forms.CharField(required=False, max_length=80)
    deadline = forms.DateField(required=False, error_messages={"invalid": _("Write the date as year-month-day.")})
    formats = forms.ModelMultipleChoiceField(
        queryset=AdFormat.objects.filter(active=True), required=False,
        error_messages={"invalid_choice": _("There is no format called “%(value)s”.")})

    def __init__(self, *args: Any, teams: list[int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choice: forms.ModelChoiceField[Team] = self.fields["team"]  # type: ignore[assignment]  # fields are typed as Field
        choice.queryset = Team.objects.filter(pk__in=teams)
        choice.initial = teams[0] if teams else None

    def clean(self) -> dict[str, Any]:
        """At least one name."""
        data = self.cleaned_data
        if not data.get("name_zh") and not data.get("name_en") and not self.errors:
            self.add_error("name_zh", _("Give the campaign a name in Chinese, in English, or both."))
        return data


class LimitForm(forms.Form):
    """A team's pictures per month."""

    limit = forms.IntegerField(error_messages={
        "invalid": _("Write the limit as a whole number."), "required": _("Write the limit as a whole number.")})
    confirm = forms.BooleanField(required=False)
