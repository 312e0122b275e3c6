"""Sockets against the real ASGI application: who may listen, what they hear, when they are shut out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from studio import notify
from studio.domain.roles import Role
from studio.models import User
from studio.services import accounts, rendering
from studio.web import consumers, hub
from tests.conftest import Cast, make_cast
from tests.factories import job
from tests.services.fake import FlatRenderer
from tests.web.sockets import BrowserSocket


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Committed: the socket looks from another thread."""
    return make_cast()


@pytest.fixture(autouse=True)
def _own_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops of earlier tests may have had the same address in memory."""
    hub._hubs.clear()


def _cookie(user: User | None) -> bytes:
    client = Client()
    if user is not None:
        client.force_login(user)
    return "; ".join(f"{name}={morsel.value}" for name, morsel in client.cookies.items()).encode()


@asynccontextmanager
async def listening(cast: Cast, user: User) -> AsyncIterator[BrowserSocket]:
    """A connected socket of that person on the cast's campaign."""
    opened = BrowserSocket(cast.campaign.pk, await sync_to_async(_cookie)(user))
    assert await opened.connect()
    while not hub.current()._topics.get(f"user.{user.pk}"):
        await asyncio.sleep(0.01)
    yield opened
    await opened.leave()


async def send(topic: str, event: dict[str, Any]) -> None:
    await notify._group_send(topic, event)  # type: ignore[arg-type]


async def refused_with(campaign: int | str, user: User | None) -> int:
    opened = BrowserSocket(campaign, await sync_to_async(_cookie)(user))
    assert await opened.connect()  # a code reaches the browser only over an open socket
    return await opened.closed_with()


async def test_who_may_not_listen_is_told_why(cast: Cast) -> None:
    assert await refused_with(cast.campaign.pk, None) == 4401
    assert await refused_with(cast.campaign.pk, cast.stranger) == 4404
    for nowhere in (10**9, "9" * 40):
        assert await refused_with(nowhere, cast.admin) == 4404
    assert not hub.current()._topics


@pytest.mark.parametrize("origin", [
    b"https://evil.example", b"http://127.0.0.1.evil.example", b"null", b"\xff\xfe", b"", None])
async def test_a_forged_origin_is_refused(cast: Cast, origin: bytes | None) -> None:
    opened = BrowserSocket(cast.campaign.pk, await sync_to_async(_cookie)(cast.admin), origin=origin)
    assert not await opened.connect()
    assert not hub.current()._topics


@pytest.mark.parametrize("path", ["/", "/ws/", "/ws/campaign/abc/", "/ws/campaign/1", "/ws/workers", "/ws/workers/1/"])
async def test_a_socket_on_any_other_address_is_refused(cast: Cast, path: str) -> None:
    opened = BrowserSocket(0, await sync_to_async(_cookie)(cast.admin), path=path)
    assert not await opened.connect()


async def test_everybody_on_the_campaign_hears_a_render_in_order(cast: Cast, events: list[tuple[str, Any]]) -> None:
    mine = await sync_to_async(job)(cast.campaign)
    await sync_to_async(rendering.run_next)(FlatRenderer(), "worker-1")
    assert [e.get("step") for _topic, e in events if e["type"] == "job.step"] == list(range(1, 9))
    async with listening(cast, cast.viewer) as one, listening(cast, cast.superuser) as two:
        for topic, published in events:
            await send(topic, published)
            await asyncio.sleep(0.03)
        for opened in (one, two):
            heard: list[dict[str, Any]] = []
            while not heard or heard[-1].get("status") != "done":
                heard.append(await opened.hear())
            heard = [e for e in heard if e["type"].startswith("job")]
            assert {e["job"] for e in heard} == {str(mine.pk)}
            assert [(e["type"], e["status"]) for e in heard[:1] + heard[-1:]] == [
                ("job.changed", "running"), ("job.changed", "done")]
            steps = [e["step"] for e in heard[1:-1]]
            assert steps == sorted(steps) and steps[-1] == 8
            assert all(e["preview"].startswith("data:image/webp") for e in heard[1:-1])


async def test_nothing_is_heard_of_other_campaigns(cast: Cast) -> None:
    async with listening(cast, cast.viewer) as opened:
        await send(f"campaign.{cast.other_campaign.pk}", {"type": "queue.moved"})
        assert await opened.silent(0.2)


async def test_what_a_browser_says_is_ignored(cast: Cast) -> None:
    async with listening(cast, cast.viewer) as opened:
        await opened.line.send_input({"type": "websocket.receive", "text": '{"type": "job.changed"}'})
        await opened.line.send_input({"type": "websocket.receive", "bytes": b"\x00\xff"})
        assert await opened.silent(0.1)
        await send(f"campaign.{cast.campaign.pk}", {"type": "queue.moved"})
        assert await opened.hear() == {"type": "queue.moved"}


def _remove(cast: Cast) -> None:
    accounts.set_role(user=cast.viewer, team=cast.team, role=None)


def _delete_sessions() -> None:
    Session.objects.all().delete()


def _expire_sessions() -> None:
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))


def _switch_off(cast: Cast) -> None:
    User.objects.filter(pk=cast.viewer.pk).update(is_active=False)


def _new_password(cast: Cast) -> None:
    cast.viewer.set_password("another horse")
    cast.viewer.save()


ENDINGS: dict[str, tuple[Any, int]] = {
    "removed from the team": (_remove, 4404), "signed out": (lambda cast: _delete_sessions(), 4401),
    "session expired": (lambda cast: _expire_sessions(), 4401), "switched off": (_switch_off, 4401),
    "password changed": (_new_password, 4401),
}


@pytest.mark.parametrize("name", ENDINGS)
async def test_a_socket_ends_with_the_right_to_listen(cast: Cast, name: str) -> None:
    end, code = ENDINGS[name]
    async with listening(cast, cast.viewer) as opened:
        await sync_to_async(partial(end, cast))()
        await send(f"user.{cast.viewer.pk}", {"type": "access.changed"})
        assert await opened.closed_with() == code
    assert not hub.current()._topics


async def test_a_changed_role_keeps_the_socket(cast: Cast) -> None:
    async with listening(cast, cast.viewer) as opened:
        await sync_to_async(accounts.set_role)(user=cast.viewer, team=cast.team, role=Role.ADMIN)
        await send(f"user.{cast.viewer.pk}", {"type": "access.changed"})
        assert await opened.silent(0.3)


async def test_a_session_that_ends_unannounced_is_noticed(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "CHECK_SECONDS", 0.05)
    async with listening(cast, cast.viewer) as opened:
        await sync_to_async(_delete_sessions)()
        assert await opened.closed_with() == 4401


async def test_a_database_that_is_away_for_a_moment_ends_no_check(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right to listen is looked at again when it is back."""
    monkeypatch.setattr(consumers, "CHECK_SECONDS", 0.05)
    look, away = consumers._refusal, [2]

    def flaky(scope: Any, campaign: int) -> int:
        if away[0]:
            away[0] -= 1
            raise OperationalError("away")
        return look(scope, campaign)

    async with listening(cast, cast.viewer) as opened:
        monkeypatch.setattr(consumers, "_refusal", flaky)
        await sync_to_async(_delete_sessions)()
        assert await opened.closed_with() == 4401 and away == [0]


async def test_the_last_socket_ends_the_subscription(cast: Cast) -> None:
    async with listening(cast, cast.viewer):
        async with listening(cast, cast.admin):
            assert len(hub.current()._topics) == 3  # the campaign and two people
        assert sorted(hub.current()._topics) == sorted([f"campaign.{cast.campaign.pk}", f"user.{cast.viewer.pk}"])
    assert not hub.current()._topics


async def test_a_slow_browser_holds_up_nobody(cast: Cast) -> None:
    """One socket's sending blocks; the others hear everything at once."""
    slow = BrowserSocket(cast.campaign.pk, await sync_to_async(_cookie)(cast.admin))
    reads_again = asyncio.Event()
    deliver = slow.line.output_queue.put

    async def put(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            await reads_again.wait()
        await deliver(message)

    slow.line.output_queue.put = put
    assert await slow.connect()
    async with listening(cast, cast.viewer) as quick:
        for step in range(1, 9):
            await send(f"campaign.{cast.campaign.pk}", {"type": "job.step", "job": "a", "step": step})
            began = time.perf_counter()
            assert (await quick.hear())["step"] == step
            assert time.perf_counter() - began < 2
        reads_again.set()
        # What it missed in between is gone, the newest is there.
        assert [(await slow.hear())["step"] for _ in range(2)] == [1, 8]
    await slow.leave()
