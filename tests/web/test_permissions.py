"""Every address, every role, every method. A new address without a row here fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, get_resolver, reverse

from studio.domain.states import OPEN_JOBS
from studio.models import (
    Activity,
    Asset,
    Campaign,
    Draft,
    ModelEntry,
    Pool,
    Product,
    PromptTemplate,
    RenderBatch,
    RenderInput,
    RenderJob,
    Review,
    Team,
    TemplateVersion,
    User,
    Worker,
)
from studio.web.probes import Answer, Probe
from studio.web.urls import urlpatterns
from studio.web.views import health
from tests.conftest import SignIn
from tests.factories import balance
from tests.web.addresses import ROLES, ROWS, Row, number_of
from tests.web.world import World

METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


#: Those that read the form before they ask who it is.
ANY_METHOD = {"healthz", "readyz"}
OPEN_TO_NOBODY = {"me-language", "healthz", "readyz", "metrics"}


@pytest.fixture(autouse=True)
def _ask_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The world is not committed: only this thread sees it."""
    def ask(probes: Iterable[Probe], *, seconds: float) -> Answer:
        return {name: yes for probe in probes for name, yes in probe._ask().items()}

    monkeypatch.setattr(health, "answers", ask)


def _names() -> set[str]:
    return {pattern.name or str(pattern.pattern) for pattern in urlpatterns}


def _path(row: Row, world: World) -> str:
    return f"/{row.name}" if row.name.endswith("/") else reverse(row.name, kwargs=row.arguments(world))


def _user(world: World, role: str) -> User | None:
    return None if role == "anonymous" else world.cast.person(role)


def _state() -> list[Any]:
    """Everything that a refused request must leave as it is."""
    jobs = list(RenderJob.objects.order_by("pk").values_list("pk", "status", "rank"))
    assets = list(Asset.objects.order_by("pk").values_list("pk", "status", "picked"))
    counts = [model.objects.count() for model in (
        Activity, Campaign, Draft, Product, PromptTemplate, RenderBatch, RenderInput, Review, TemplateVersion)]
    return [jobs, assets, counts, [balance(team) for team in Team.objects.order_by("pk")],
            list(Team.objects.order_by("pk").values_list("monthly_pictures", "pool")),
            list(Worker.objects.order_by("pk").values_list("pk", "draining", "pool")),
            list(Pool.objects.order_by("pk").values_list("name", "priority")),
            list(Campaign.objects.order_by("pk").values_list("paused_at")),
            list(ModelEntry.objects.order_by("pk").values_list("active", "precision", "check_asked_at"))]


def test_every_address_is_in_the_table() -> None:
    assert {row.name for row in ROWS} == _names()
    assert all(len(row.statuses) == len(ROLES) for row in ROWS)


def test_every_other_address_is_a_sign_in_page() -> None:
    others = {p.name for p in get_resolver().url_patterns if isinstance(p, URLPattern)}
    assert all(name and name.startswith("account_") for name in others)


@contextmanager
def undone() -> Iterator[None]:
    """What happens inside never happened."""
    point = transaction.savepoint()  # not atomic(): the services' transactions are outermost
    yield
    transaction.savepoint_rollback(point)


def _send(client: Client, row: Row, world: World) -> Any:
    return getattr(client, row.method)(_path(row, world), row.data(world))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.name}-{row.method}")
def test_who_may(world: World, sign_in: SignIn, row: Row) -> None:
    found, before = {}, _state()
    for role in ROLES:
        with undone():
            response = _send(sign_in(_user(world, role)), row, world)
            found[role] = response.status_code
            if role == "anonymous" and row.name not in OPEN_TO_NOBODY:
                assert response.headers["Location"].startswith("/login/?next=")
            if response.status_code in (403, 404) or role == "anonymous":
                assert _state() == before, role
    assert found == dict(zip(ROLES, row.statuses, strict=True))


def test_an_htmx_request_of_nobody_leaves_the_page(world: World, sign_in: SignIn) -> None:
    client = sign_in(None, HX_Request="true", HX_Current_URL="http://testserver/c/x/?tab=1")
    for row in ROWS:
        if row.name not in OPEN_TO_NOBODY:
            response = _send(client, row, world)
            assert response.status_code == 401, row.name
            assert response.headers["HX-Redirect"] == "/login/?next=%2Fc%2Fx%2F%3Ftab%3D1"


def test_other_methods_are_refused(world: World, sign_in: SignIn) -> None:
    client, before = sign_in(world.cast.person("superuser")), _state()
    for name in _names() - ANY_METHOD:
        rows = [row for row in ROWS if row.name == name]
        allowed = {row.method for row in rows}
        allowed |= {"head"} if "get" in allowed else set()
        for method in METHODS:
            if method not in allowed:
                response = getattr(client, method)(_path(rows[0], world))
                assert response.status_code == 405, (name, method)
                assert {m.strip().lower() for m in response.headers["Allow"].split(",")} == allowed, name
    assert _state() == before


def test_a_form_without_its_token_is_refused(world: World) -> None:
    client, before = Client(enforce_csrf_checks=True), _state()
    client.force_login(world.cast.admin)
    for row in ROWS:
        if row.method == "post":
            assert _send(client, row, world).status_code == 403, row.name
    assert _state() == before


def test_a_marketer_is_refused_what_others_asked_for(world: World, sign_in: SignIn) -> None:
    RenderBatch.objects.update(requested_by=world.cast.admin)
    client = sign_in(world.cast.person("marketer"))
    assert client.post(reverse("cancel-job", kwargs={"pk": world.queued.pk})).status_code == 403
    assert client.post(reverse("cancel-batch", kwargs=number_of(world))).status_code == 403
    assert RenderJob.objects.filter(status__in=OPEN_JOBS).count() == 2


@pytest.mark.parametrize("role", ["reviewer", "admin", "superuser"])
def test_the_author_is_refused_the_decision(world: World, sign_in: SignIn, role: str) -> None:
    user = world.cast.person(role)
    Asset.objects.update(author=user)
    client = sign_in(user)
    assert client.get(reverse("review", kwargs={"pk": world.in_review.pk})).status_code == 200
    for name, asset in (("approve", world.in_review), ("request-changes", world.in_review), ("reopen", world.approved)):
        assert client.post(reverse(name, kwargs={"pk": asset.pk}), {"comment": "x"}).status_code == 403


def test_a_closed_batch_is_not_cancelled_by_a_viewer(world: World, sign_in: SignIn) -> None:
    sign_in(world.cast.person("admin")).post(reverse("cancel-batch", kwargs=number_of(world)))
    viewer = sign_in(world.cast.person("viewer"))
    assert viewer.post(reverse("cancel-batch", kwargs=number_of(world))).status_code == 403


def test_a_persons_settings_are_their_own(world: World, sign_in: SignIn) -> None:
    client = sign_in(world.cast.person("viewer"))
    client.post(reverse("me-theme"), {"theme": "dark"})
    client.post(reverse("me-hotkeys"), {})
    client.post(reverse("me-language"), {"language": "zh-hans"})
    changed = User.objects.filter(theme="dark", hotkeys=False, language="zh-hans")
    assert list(changed) == [world.cast.viewer]
