from __future__ import annotations

from datetime import timedelta

import pytest
from celery import current_app
from django.db import InterfaceError, OperationalError, connection
from django.test import Client
from django.utils import timezone

from studio import queue
from studio.models import Worker
from tests.factories import worker


def test_the_web_process_answers(client: Client) -> None:
    assert client.get("/healthz").json() == {"ok": True}


@pytest.mark.django_db
def test_ready_means_database_broker_and_a_worker(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    me = worker()
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json() == {"ok": True, "database": True, "broker": True, "worker": True}
    Worker.objects.filter(pk=me.pk).update(seen_at=timezone.now() - timedelta(minutes=1))
    response = client.get("/readyz")
    assert response.status_code == 503 and response.json()["worker"] is False
    monkeypatch.setattr(queue, "answers", lambda: False)
    assert client.get("/readyz").json() == {"ok": False, "database": True, "broker": False, "worker": False}


@pytest.mark.django_db
@pytest.mark.parametrize("error", [OperationalError("away"), InterfaceError("the connection is closed")])
def test_a_database_that_is_away_is_said(
    client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception,
) -> None:
    def away(*args: object) -> None:
        raise error

    monkeypatch.setattr(connection, "cursor", away)
    response = client.get("/readyz")
    assert response.status_code == 503 and response.json()["database"] is False


def test_a_broker_nobody_answers_at_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    class Away:
        def __enter__(self) -> Away:
            return self

        def __exit__(self, *args: object) -> None:
            pass

        def ensure_connection(self, **options: object) -> None:
            raise OSError("refused")

    monkeypatch.setattr(current_app, "connection_for_write", lambda **options: Away())
    assert queue.answers() is False
