"""What every test shares: a place of its own for files, a cast, and recorders for what leaves the process."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.client import ClientHandler

from studio import notify, queue
from studio.domain.events import Event
from studio.domain.roles import Role
from studio.models import Campaign, Team, User
from studio.services import delivery, dispatch
from tests.factories import CampaignFactory, TeamFactory, UserFactory, member_of

_FOLDER = Path(tempfile.mkdtemp(prefix=f"studio-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-"))
os.environ["VAR_DIR"] = str(_FOLDER)  # for the subprocesses that tests start


def _move_in() -> None:
    """Point every path of the settings into this process's own folder, before a connection is made."""
    django_settings.VAR_DIR = _FOLDER
    django_settings.MEDIA_ROOT = _FOLDER / "media"
    django_settings.STORAGES["default"]["OPTIONS"] = {"location": _FOLDER / "media"}
    database: dict[str, Any] = django_settings.DATABASES["default"]
    if "sqlite3" in database["ENGINE"]:
        database["NAME"] = _FOLDER / "studio.sqlite3"
        database["TEST"]["NAME"] = str(_FOLDER / "test.sqlite3")
    else:  # a test database may be lost when the power goes
        database["OPTIONS"]["options"] = "-c synchronous_commit=off"
    # Processes that test side by side on one Redis must not hear each other.
    layer: dict[str, Any] = django_settings.CHANNEL_LAYERS["default"]
    if "CONFIG" in layer:
        layer["CONFIG"]["prefix"] = _FOLDER.name
    django_settings.CACHES["default"]["KEY_PREFIX"] = _FOLDER.name
    # What a hash costs is not what these tests are about.
    django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


_move_in()


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    shutil.rmtree(_FOLDER, ignore_errors=True)


@pytest.fixture(autouse=True, scope="session")
def _quick_flush() -> None:
    """Empty the tables after a transactional test with DELETE: TRUNCATE makes PostgreSQL write new files for each."""
    if connection.vendor == "postgresql":
        connection.ops.sql_flush = lambda style, tables, **options: [  # type: ignore[method-assign]
            f"DELETE FROM {connection.ops.quote_name(table)};" for table in tables]


@pytest.fixture(autouse=True)
def _clean_cache() -> Iterator[None]:
    """Rate limits of one test must not reach the next."""
    yield
    if "locmem" in django_settings.CACHES["default"]["BACKEND"]:
        cache.clear()


@dataclass(frozen=True, slots=True)
class Cast:
    """One team with every role, a campaign of theirs; a stranger with a team and campaign of their own."""

    team: Team
    campaign: Campaign
    viewer: User
    marketer: User
    reviewer: User
    admin: User
    other_team: Team
    other_campaign: Campaign
    stranger: User
    superuser: User

    def person(self, name: str) -> User:
        """By role, or `stranger`, `superuser`."""
        found = getattr(self, name)
        assert isinstance(found, User)
        return User.objects.get(pk=found.pk)  # fresh: a user object keeps its roles


@pytest.fixture
def cast(db: None) -> Cast:
    """The people of this test."""
    return make_cast()


def make_cast() -> Cast:
    """The people of a test that manages its own database fixture."""
    team, other = TeamFactory.create(), TeamFactory.create()
    people = {str(role): member_of(team, role) for role in Role}
    stranger = member_of(other, Role.ADMIN)
    return Cast(
        team=team, campaign=CampaignFactory.create(team=team, created_by=people["marketer"]), **people,
        other_team=other, other_campaign=CampaignFactory.create(team=other, created_by=stranger),
        stranger=stranger, superuser=UserFactory.create(is_superuser=True))


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that a test takes away stays away: nobody waits for it."""
    monkeypatch.setattr(delivery, "PAUSES", ())


@pytest.fixture(autouse=True)
def wakes(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[int]:
    """Wake-ups sent, by their number of hints; nothing reaches a broker."""
    sent: list[int] = []

    def wake(hints: int = 1) -> bool:
        sent.append(hints)
        return True

    if "real_queue" not in request.fixturenames:
        monkeypatch.setattr(queue, "wake", wake)
    return sent


@pytest.fixture(autouse=True)
def events(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[tuple[str, Any]]:
    """Events published as (topic, event); nothing reaches a channel layer."""
    published: list[tuple[str, Any]] = []

    def publish(topic: str, event: Event) -> None:
        published.append((topic, event))

    monkeypatch.setattr(dispatch, "MOVED_SECONDS", 0.0)  # what one test has told must not silence the next
    if "real_notify" not in request.fixturenames:
        monkeypatch.setattr(notify, "publish", publish)
    return published


@pytest.fixture
def real_queue() -> None:
    """Ask for it to let wake-ups reach the broker."""


@pytest.fixture
def real_notify() -> None:
    """Ask for it to let events reach the channel layer."""


#: Loading the middleware looks at every static file: once is enough.
_HANDLER = ClientHandler(enforce_csrf_checks=False)


class SignIn(Protocol):
    """How tests come by a browser."""

    def __call__(self, user: User | None, **headers: str) -> Client:
        """A client of that person, or of nobody; with `headers` (HX_Request="true") on every request."""
        ...


@pytest.fixture
def sign_in() -> SignIn:
    """`sign_in(user)` gives a client of that person; `sign_in(None)` one of nobody."""

    def as_person(user: User | None, **headers: str) -> Client:
        fresh = Client(headers={name.replace("_", "-"): value for name, value in headers.items()})
        fresh.handler = _HANDLER
        if user is not None:
            fresh.force_login(user)
        return fresh

    return as_person
