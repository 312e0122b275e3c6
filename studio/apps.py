"""Django's handle on the studio."""

from __future__ import annotations

from django.apps import AppConfig


class StudioConfig(AppConfig):
    """The one application of this project."""

    name = "studio"
    verbose_name = "Campaign studio"
