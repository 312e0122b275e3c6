"""One line to the channel layer per process, one subscription per topic, shared by all sockets.

A subscription per socket would saturate the process at a hundred viewers. The newest step of each
job replaces older ones that were not sent yet, so a slow browser costs memory for one event per
job, and no one else anything.

After a restart of Redis, channels_redis can stay deaf without an error. So the hub sends itself a
pulse, and makes the line anew, with all its topics, when the pulse does not come back.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import OrderedDict
from secrets import token_hex
from typing import Any

import structlog
from channels.layers import get_channel_layer
from redis.exceptions import RedisError

from studio import notify

log = structlog.get_logger(__name__)

#: Seconds between two sendings to one socket: few viewers see every step, many share the process.
QUICK, CALM = 0.02, 0.25
CALM_ABOVE = 20  # sockets on one topic
#: Events kept for a socket that does not read; beyond that it catches up from the database.
BACKLOG = 500
#: Seconds between two pulses, and how long the line may be silent before it counts as lost.
PULSE, SILENT = 2.0, 5.0
#: Seconds before a lost line is tried again.
AGAIN = 1.0


class Mailbox:
    """What waits for one socket: the newest event per job, asset and worker, in order of arrival."""

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
    def __init__(self) -> None:
        self.mailboxes: set[Mailbox] = set()
        self.subscribed = asyncio.Event()


def _key(event: Any) -> str:
    """Events with the same key replace each other while they wait. A state never hides behind a step."""
    kind = event["type"]
    return f"{kind}.{event.get('job') or event.get('asset') or event.get('batch') or event.get('worker') or ''}"


class Hub:
    """The topics of one event loop."""

    def __init__(self) -> None:
        self._topics: dict[str, _Topic] = {}
        self._changed = asyncio.Event()  # the topics are not those that the line is subscribed to
        self._line: asyncio.Task[None] | None = None
        self._own = f"hub.{token_hex(8)}"
        self._heard = 0.0  # when the line last brought something, by the loop's clock

    async def join(self, name: str, mailbox: Mailbox) -> None:
        """Deliver the topic's events to `mailbox` from now on; returns once the subscription stands."""
        topic = self._topics.setdefault(name, _Topic())
        topic.mailboxes.add(mailbox)
        self._changed.set()
        if self._line is None or self._line.done():
            self._line = asyncio.create_task(self._keep_line())
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
            self._changed.set()

    def pause(self, name: str) -> float:
        """Seconds to wait between two sendings to a socket of this topic."""
        topic = self._topics.get(name)
        return CALM if topic and len(topic.mailboxes) > CALM_ABOVE else QUICK

    async def _keep_line(self) -> None:
        """Hold a line until cancelled; a lost one is made anew."""
        while True:
            layer = get_channel_layer()
            try:
                await self._hold_line(layer)
            except (OSError, RedisError) as error:
                log.warning("hub.lost", error=str(error) or type(error).__name__)
            except Exception:
                # channels_redis reads and writes a connection that is being made anew: redis-py then also raises
                # RuntimeError or AttributeError.
                log.exception("hub.lost")
            for topic in self._topics.values():
                topic.subscribed.clear()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(SILENT):
                    await layer.flush()  # or the failed connection would be used again
            await asyncio.sleep(AGAIN)

    async def _hold_line(self, layer: Any) -> None:
        """Be subscribed to what is joined, and send pulses. Raises when the line is lost."""
        clock = asyncio.get_running_loop().time
        self._heard = clock()
        async with asyncio.timeout(SILENT):
            channel = await layer.new_channel()
        reader = asyncio.create_task(self._read(layer, channel))
        told: set[str] = set()
        try:
            while not reader.done() and clock() - self._heard < SILENT:
                self._changed.clear()
                wanted = {self._own, *self._topics}
                async with asyncio.timeout(SILENT):
                    for name in told - wanted:
                        await layer.group_discard(name, channel)
                    for name in wanted - told:
                        await layer.group_add(name, channel)
                    await notify.pulse(self._own)
                told = wanted
                for name in told & self._topics.keys():
                    self._topics[name].subscribed.set()
                with contextlib.suppress(TimeoutError):
                    # Not wait_for, which before Python 3.12 can swallow a cancellation.
                    async with asyncio.timeout(PULSE):
                        await self._changed.wait()
        finally:
            reader.cancel()
            # What the reader died of, if it did.
            with contextlib.suppress(asyncio.CancelledError):
                await reader
        raise ConnectionError("no pulse came back")

    async def _read(self, layer: Any, channel: str) -> None:
        while True:
            message = await layer.receive(channel)
            self._heard = asyncio.get_running_loop().time()
            topic = self._topics.get(message.get("topic", ""))
            if topic is None:
                continue  # a pulse, or what was under way when the last socket left
            key, text = _key(message["event"]), json.dumps(message["event"])
            for mailbox in topic.mailboxes:
                mailbox.put(key, text)


_hubs: dict[int, Hub] = {}


def current() -> Hub:
    """The hub of the running event loop."""
    return _hubs.setdefault(id(asyncio.get_running_loop()), Hub())
