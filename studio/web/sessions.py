"""Django's database sessions, for keys that the studio itself could have made."""

from __future__ import annotations

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore


class SessionStore(DatabaseStore):
    """A cookie's key is asked for only when it looks like one."""

    def _validate_session_key(self, key: str | None) -> bool:
        # A quoted cookie can carry a NUL, which PostgreSQL answers with an error instead of no row.
        return bool(
            super()._validate_session_key(key) and str(key).isalnum())  # type: ignore[misc]  # not in the stubs
