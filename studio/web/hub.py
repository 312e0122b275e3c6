"""One subscription per topic and process, shared by all its sockets.

A subscription per socket would saturate the process at a hundred viewers. The newest step of each
job replaces older ones that were not sent yet, so a slow browser costs memory for one event per
job, and no one else anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import OrderedDict
from typing import Any

import structlog
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from studio.domain.events import Event

log = structlog.get_logger(__name__)

#: Seconds between two sendings to one socket: few viewers see every step, many share the process.
QUICK, CALM = 0.02, 0.25
CALM_ABOVE = 20  # sockets on one topic
#: Events kept for a socket that does not read; beyond that it catches up from the database.
BACKLOG = 500


class Mailbox:
    """What waits for one socket: the newest event per job and asset, in order of arrival."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, str] = OrderedDict()
        self._filled = asyncio.Event()

    def put(self, key: str, text: str) -> None:
        """Add an event at the end of the line; one with the same key that still waits is dropped."""
        self._waiting.pop(key, None)
        self._waiting[key] = text
        if len(self._waiting) > BACKLOG:
            self._waiting.popitem(last=False)
        self._filled.set()

    async def take(self) -> list[str]:
        """All that waits; blocks while nothing does."""
        await self._filled.wait()
        self._filled.clear()
        texts = list(self._waiting.values())
        self._waiting.clear()
        return texts


class _Topic:
    def __init__(self, name: str) -> None:
        self.name = name
        self.mailboxes: set[Mailbox] = set()
        self.subscribed = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        """Receive until cancelled; a lost broker is subscribed to again."""
        while True:
            layer = get_channel_layer()
            try:
                channel = await layer.new_channel()
                await layer.group_add(self.name, channel)
                self.subscribed.set()
                try:
                    while True:
                        message = await layer.receive(channel)
                        self._deliver(message["event"])
                finally:
                    with contextlib.suppress(OSError, RedisError):
                        await layer.group_discard(self.name, channel)
            except (OSError, RedisError) as error:
                log.warning("hub.lost", topic=self.name, error=str(error))
                await asyncio.sleep(1)

    def _deliver(self, event: Event) -> None:
        key, text = _key(event), json.dumps(event)
        for mailbox in self.mailboxes:
            mailbox.put(key, text)


def _key(event: Any) -> str:
    """Events with the same key replace each other while they wait. A state never hides behind a step."""
    kind = event["type"]
    return f"{kind}.{event.get('job') or event.get('asset') or event.get('batch') or ''}"


class Hub:
    """The topics of one event loop."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}

    async def join(self, name: str, mailbox: Mailbox) -> None:
        """Deliver the topic's events to `mailbox` from now on; returns once the subscription stands."""
        topic = self._topics.get(name)
        if topic is None or topic.task.done():
            topic = self._topics[name] = _Topic(name)
        topic.mailboxes.add(mailbox)
        # A broker that is away must not keep the page from connecting: it catches up by itself.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(topic.subscribed.wait(), 2)

    async def leave(self, name: str, mailbox: Mailbox) -> None:
        """Stop; the last one out ends the subscription."""
        topic = self._topics.get(name)
        if topic is None:
            return
        topic.mailboxes.discard(mailbox)
        if not topic.mailboxes:
            del self._topics[name]
            topic.task.cancel()

    def pause(self, name: str) -> float:
        """Seconds to wait between two sendings to a socket of this topic."""
        topic = self._topics.get(name)
        return CALM if topic and len(topic.mailboxes) > CALM_ABOVE else QUICK


_hubs: dict[int, Hub] = {}


def current() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(id(asyncio.get_running_loop()), Hub())
