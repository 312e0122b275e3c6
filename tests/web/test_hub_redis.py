"""The hub over a real Redis that goes away and comes back."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from channels_redis.pubsub import RedisPubSubChannelLayer

from studio import notify
from studio.supervisor import redis
from studio.web import hub

pytestmark = pytest.mark.slow


class Server:
    """A Redis behind a socket in a short path of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def start(self) -> None:
        self._process = subprocess.Popen(
            redis.command(redis.binary(), folder=self._folder, data=self._folder),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while not await asyncio.to_thread(redis.answers, self._folder):
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self._process.terminate()
        await asyncio.to_thread(self._process.wait)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    """Running, and used by the hub and by what it is told."""
    with tempfile.TemporaryDirectory(prefix="hub-") as folder:
        layer = RedisPubSubChannelLayer(hosts=[redis.urls(Path(folder))[0]])
        for module in (hub, notify):
            monkeypatch.setattr(module, "get_channel_layer", lambda: layer)
        running = Server(Path(folder))
        await running.start()
        yield running
        await running.stop()


async def heard(topic: str, mailbox: hub.Mailbox) -> None:
    """Tell the topic again and again until the mailbox hears of it."""
    async with asyncio.timeout(15):
        while not mailbox._waiting:
            await notify._group_send(topic, {"type": "queue.moved"})
            await asyncio.sleep(0.1)
    await mailbox.take()


async def test_a_restarted_redis_is_heard_again_by_all(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "PULSE", 0.2)
    monkeypatch.setattr(hub, "SILENT", 2.0)
    ours, before, meanwhile = hub.Hub(), hub.Mailbox(), hub.Mailbox()
    await ours.join("topic.1", before)
    await heard("topic.1", before)
    for seconds in (0.0, 1.0):
        await server.stop()
        joining = asyncio.create_task(ours.join("topic.2", meanwhile))  # a page that opens while Redis is away
        await asyncio.sleep(seconds)
        await server.start()
        await joining
        await heard("topic.1", before)
        await heard("topic.2", meanwhile)
    assert ours._line is not None
    ours._line.cancel()
