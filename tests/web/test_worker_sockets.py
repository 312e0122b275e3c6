"""The socket of the workers page: who may listen, and what they hear."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from asgiref.sync import sync_to_async

from studio import notify
from studio.domain.events import WORKERS_TOPIC, WorkerEvent
from studio.domain.roles import Role
from studio.models import User
from studio.services import accounts
from studio.web import hub
from tests.conftest import Cast, make_cast
from tests.web.sockets import BrowserSocket
from tests.web.test_sockets import _cookie


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    """Committed: the socket looks from another thread."""
    return make_cast()


@pytest.fixture(autouse=True)
def _own_hub() -> None:
    """Loops of earlier tests may have had the same address in memory."""
    hub._hubs.clear()


async def opened(user: User | None) -> BrowserSocket:
    """That person's socket on the workers page, connected."""
    found = BrowserSocket(0, await sync_to_async(_cookie)(user), path="/ws/workers/")
    assert await found.connect()  # a code reaches the browser only over an open socket
    return found


async def listening(user: User) -> BrowserSocket:
    """The same, once it hears events."""
    found = await opened(user)
    while not hub.current()._topics.get(f"user.{user.pk}"):
        await asyncio.sleep(0.01)
    return found


async def test_who_may_not_listen_is_told_why(cast: Cast) -> None:
    assert await (await opened(None)).closed_with() == 4401
    for user in (cast.viewer, cast.marketer, cast.reviewer):
        assert await (await opened(user)).closed_with() == 4403
    assert not hub.current()._topics


async def test_admins_of_any_team_hear_what_all_workers_do(cast: Cast) -> None:
    heard = [await listening(user) for user in (cast.admin, cast.stranger, cast.superuser)]
    step = WorkerEvent(type="worker.step", worker="gpu-0", step=3, steps=8)
    await notify._group_send(WORKERS_TOPIC, step)
    for one in heard:
        assert await one.hear() == step
    await notify._group_send(f"campaign.{cast.campaign.pk}", {"type": "queue.moved"})
    for one in heard:
        assert await one.silent(0.1)
        await one.leave()
    assert not hub.current()._topics


async def test_it_ends_with_the_role(cast: Cast) -> None:
    one = await listening(cast.admin)
    await sync_to_async(partial(accounts.set_role, user=cast.admin, team=cast.team, role=Role.REVIEWER))()
    await notify._group_send(f"user.{cast.admin.pk}", {"type": "access.changed"})
    assert await one.closed_with() == 4403
    assert not hub.current()._topics


async def test_what_waits_for_a_slow_browser_is_the_newest_of_each_worker(cast: Cast) -> None:
    mailbox = hub.Mailbox()
    for worker in ("gpu-0", "gpu-1"):
        for step in range(1, 9):
            event = WorkerEvent(type="worker.step", worker=worker, step=step, steps=8)
            mailbox.put(hub._key(event), f"{worker} {step}")
    mailbox.put(hub._key(WorkerEvent(type="worker.changed", worker="gpu-0")), "changed")
    assert await mailbox.take() == ["gpu-0 8", "gpu-1 8", "changed"]
