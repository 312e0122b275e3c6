"""How allauth behaves here."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedAdapter(DefaultAccountAdapter):
    """Nobody signs up by themselves: admins add people."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False
