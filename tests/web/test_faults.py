"""A database that is away is said to be away; any other fault stays a fault."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import InterfaceError, OperationalError
from django.db.models.query import QuerySet

from studio.web.views import home
from tests.conftest import Cast, SignIn


def broken(error: Exception) -> Any:
    def fails(*args: object, **kwargs: object) -> None:
        raise error

    return fails


@pytest.mark.parametrize("error", [OperationalError("away"), InterfaceError("connection already closed")])
def test_a_database_that_is_away_in_a_view_is_a_503(
    cast: Cast, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch, error: Exception,
) -> None:
    client = sign_in(cast.marketer)
    client.raise_request_exception = False
    monkeypatch.setattr(home, "quotas_of", broken(error))
    answer = client.get("/")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "503" in answer.content.decode() and "Traceback" not in answer.content.decode()
    toast = client.get("/", headers={"HX-Request": "true"})
    assert toast.status_code == 503 and "toast" in toast.headers["HX-Trigger"] and toast.content == b""


def test_so_is_one_that_is_away_from_the_first_query_on(
    cast: Cast, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The session is read before any view: the page must not need the database to say so."""
    client = sign_in(cast.marketer)
    client.raise_request_exception = False
    monkeypatch.setattr(QuerySet, "_fetch_all", broken(OperationalError("away")))
    monkeypatch.setattr(QuerySet, "get", broken(OperationalError("away")))
    answer = client.get("/")
    assert answer.status_code == 503 and "503" in answer.content.decode()


def test_any_other_fault_is_a_500(cast: Cast, sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    client = sign_in(cast.marketer)
    client.raise_request_exception = False
    monkeypatch.setattr(home, "quotas_of", broken(ZeroDivisionError("oops")))
    assert client.get("/").status_code == 500
