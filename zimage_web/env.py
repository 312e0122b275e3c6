"""Typed readers of environment variables. Nonsense is refused with the variable's name."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str = "") -> str:
    """The variable's text without outer blanks; `default` when unset or empty."""
    return os.environ.get(name, "").strip() or default


def flag(name: str, default: bool) -> bool:
    """True or False, written so. Raises ImproperlyConfigured for anything else."""
    value = text(name)
    if not value:
        return default
    if value.lower() not in ("true", "false"):
        raise ImproperlyConfigured(f"{name}={value!r}: use True or False")
    return value.lower() == "true"


def number(name: str, default: int, *, low: int, high: int) -> int:
    """A whole number from `low` to `high`. Raises ImproperlyConfigured otherwise."""
    value = text(name)
    try:
        result = int(value) if value else default
    except ValueError:
        raise ImproperlyConfigured(f"{name}={value!r}: use a whole number from {low} to {high}") from None
    if not low <= result <= high:
        raise ImproperlyConfigured(f"{name}={result}: use a whole number from {low} to {high}")
    return result


def choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    """One of `allowed`. Raises ImproperlyConfigured otherwise."""
    value = text(name, default)
    if value not in allowed:
        raise ImproperlyConfigured(f"{name}={value!r}: use one of {', '.join(allowed)}")
    return value


def names(name: str, default: str = "") -> list[str]:
    """A comma-separated list."""
    return [part.strip() for part in text(name, default).split(",") if part.strip()]


def some_of(name: str, allowed: Iterable[str]) -> frozenset[str]:
    """A comma-separated list of names out of `allowed`. Raises ImproperlyConfigured for another."""
    found = frozenset(names(name))
    if not found <= frozenset(allowed):
        raise ImproperlyConfigured(
            f"{name}={', '.join(sorted(found))!r}: use a comma-separated list of {', '.join(allowed)}")
    return found


def sizes(name: str) -> tuple[tuple[int, int], ...]:
    """A comma-separated list of sizes in pixels such as 1024x768. Raises ImproperlyConfigured otherwise."""
    found = []
    for part in names(name):
        size = re.fullmatch(r"(\d{2,4})x(\d{2,4})", part)
        if not size:
            raise ImproperlyConfigured(f"{name}={part!r}: write sizes as 1024x1024, with commas between them")
        found.append((int(size[1]), int(size[2])))
    return tuple(found)


def path(name: str, default: Path) -> Path:
    """An absolute path; `~` is expanded."""
    return Path(text(name, str(default))).expanduser().absolute()


def url(name: str, default: str, schemes: tuple[str, ...]) -> str:
    """A URL of one of `schemes`, or empty when `default` is. Raises ImproperlyConfigured otherwise."""
    value = text(name, default)
    if not value:
        return value
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={_hidden(value)!r}: {error}") from None
    if parts.scheme not in schemes or "://" not in value:
        starts = " or ".join(f"{scheme}://" for scheme in schemes)
        raise ImproperlyConfigured(f"{name}={_hidden(value)!r}: use a URL that starts with {starts}")
    return value


def origins(name: str) -> list[str]:
    """A comma-separated list of origins such as https://studio.example.com. Raises ImproperlyConfigured otherwise."""
    found = names(name)
    for origin in found:
        if not re.fullmatch(r"https?://[^/\s]+", origin):
            raise ImproperlyConfigured(f"{name}={origin!r}: write origins as https://studio.example.com")
    return found


def time_zone(name: str, default: str) -> str:
    """The name of a time zone. Raises ImproperlyConfigured for one that is not known here."""
    value = text(name, default)
    try:
        ZoneInfo(value)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ImproperlyConfigured(f"{name}={value!r}: use a name such as Asia/Shanghai or Europe/Berlin") from None
    return value


def short(name: str, default: str, *, longest: int) -> str:
    """A text of at most `longest` characters. Raises ImproperlyConfigured for a longer one."""
    value = text(name, default)
    if len(value) > longest:
        raise ImproperlyConfigured(f"{name}: use at most {longest} characters")
    return value


def database(name: str, sqlite: Path) -> dict[str, object]:
    """Django's DATABASES entry: PostgreSQL from a `postgres://` URL, else the SQLite file.

    What follows a `?` goes to PostgreSQL's client library, such as `sslmode=require`. Raises
    ImproperlyConfigured for another scheme, a missing database name or a broken port.
    """
    value = url(name, "", ("postgres", "postgresql"))
    if not value:
        return {
            "ENGINE": "django.db.backends.sqlite3", "NAME": sqlite,
            # Without IMMEDIATE, two writers that both began by reading deadlock into "database is locked".
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": (
                "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA busy_timeout=20000;"
                "PRAGMA temp_store=MEMORY;PRAGMA mmap_size=134217728;PRAGMA cache_size=-16384;")},
            # A file, not shared memory: tests race real threads and processes against it.
            "TEST": {"NAME": str(sqlite.with_name("test.sqlite3"))},
        }
    parts = urlsplit(value)
    if not parts.path.strip("/"):
        raise ImproperlyConfigured(f"{name}={_hidden(value)!r}: the database's name is missing after the host")
    return {
        "ENGINE": "django.db.backends.postgresql", "NAME": unquote(parts.path.strip("/")),
        "USER": unquote(parts.username or ""), "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "", "PORT": parts.port or "",
        # Persistent connections leak under ASGI (Django ticket 33497): a pool instead. Checked before each use, or
        # every pooled connection would fail once after a restart of PostgreSQL.
        "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 8, "timeout": 10}, **dict(parse_qsl(parts.query))},
    }


def token(name: str) -> str:
    """A password that travels in a header, or empty. Raises ImproperlyConfigured for a short or unprintable one."""
    value = text(name)
    if value and not re.fullmatch(r"[!-~]{16,}", value):
        raise ImproperlyConfigured(f"{name}: use at least 16 random letters, digits and signs, without blanks")
    return value


def secret(name: str, file: Path) -> str:
    """The variable, or a key made once and kept in `file` with mode 0600."""
    value = text(name)
    if value:
        if len(value) < 32:
            raise ImproperlyConfigured(f"{name}: use at least 32 random characters")
        return value
    if not file.exists():
        from django.core.management.utils import get_random_secret_key

        # Pictures, sessions and password hashes will lie there, too: for this user only.
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(get_random_secret_key())
        with contextlib.suppress(FileExistsError):
            os.link(fresh, file)  # atomic: of two processes that start at once, the first one's key stays
        fresh.unlink()
    return file.read_text().strip()


def _hidden(value: str) -> str:
    """A URL without its password, fit for a message."""
    return value if "@" not in value else f"{value.split('://')[0]}://…@{value.rsplit('@', 1)[1]}"
