"""Sockets: authorised at connect, checked again when access changes; they carry hints."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
from django.db import Error as DatabaseError
from django.utils.crypto import constant_time_compare

from studio import permissions, tracing
from studio.domain.events import WORKERS_TOPIC, campaign_topic
from studio.models import Campaign, User
from studio.web import hub, metrics

log = structlog.get_logger(__name__)

SIGN_IN, FORBIDDEN, NOT_FOUND = 4401, 4403, 4404
#: Seconds between two looks at the session: signing out elsewhere, a removed member, an expired session.
CHECK_SECONDS = 30


class Nowhere(AsyncWebsocketConsumer):
    """Any other address: refused."""

    channel_layer_alias = "none"

    async def connect(self) -> None:
        """Close before the handshake ends: browsers see a refused connection."""
        await self.close(code=NOT_FOUND)


class TopicConsumer(AsyncWebsocketConsumer):
    """Events of one topic. Whatever the browser sends is ignored."""

    # The hub subscribes for all sockets: this one holds no channel of its own.
    channel_layer_alias = "none"

    def topic(self) -> str:
        """What is listened to."""
        raise NotImplementedError

    def refusal(self) -> int:
        """0 when the person may listen now; else the close code. Asks the database."""
        raise NotImplementedError

    async def connect(self) -> None:
        """Accept whoever may listen to the topic; close with a code that says why otherwise."""
        offered = dict(self.scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        tracing.begin(offered)  # all of a socket runs in this task and in those that it starts
        self._tasks: list[asyncio.Task[None]] = []
        self._mailbox = hub.Mailbox()
        self._topic = self.topic()
        await self.accept()  # a code reaches the browser only over an open socket
        refusal = await self._refusal()
        if refusal:
            await self.close(code=refusal)
            return
        user_topic = f"user.{self.scope['user'].pk}"
        self._access = hub.Mailbox()
        self._topics = [(self._topic, self._mailbox), (user_topic, self._access)]
        for topic, mailbox in self._topics:
            await hub.current().join(topic, mailbox)
        self._tasks = [asyncio.create_task(self._send_events()), asyncio.create_task(self._watch_access())]
        metrics.sockets.inc()

    async def disconnect(self, code: int) -> None:
        """Leave the topics."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:  # it was let in
            metrics.sockets.dec()
        for topic, mailbox in getattr(self, "_topics", []):
            await hub.current().leave(topic, mailbox)
        log.info("socket.closed", topic=self._topic, user=self.scope["user"].pk, code=code)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Nothing a browser says here has an effect."""

    async def _send_events(self) -> None:
        while True:
            for text in await self._mailbox.take():
                await self.send(text_data=text)
            await asyncio.sleep(hub.current().pause(self._topic))

    async def _watch_access(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                # Not wait_for, which before Python 3.12 can swallow the cancellation of `disconnect`.
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._access.take()
            try:
                refusal = await self._refusal()
            except DatabaseError as error:  # away for a moment: asked again at the next look
                log.warning("socket.not_checked", error=str(error))
                continue
            if refusal:
                await self.close(code=refusal)
                return

    async def _refusal(self) -> int:
        """0 when the person may listen now; else the close code."""
        code: int = await database_sync_to_async(self.refusal)()
        return code


class CampaignConsumer(TopicConsumer):
    """Events of one campaign, for those who see it."""

    def topic(self) -> str:
        """The campaign of the address."""
        return campaign_topic(self._campaign)

    def refusal(self) -> int:
        """Whether it is visible."""
        return _refusal(self.scope, self._campaign)

    @property
    def _campaign(self) -> int:
        return int(self.scope["url_route"]["kwargs"]["pk"])


class WorkersConsumer(TopicConsumer):
    """Events of the workers, for those who may open their page."""

    def topic(self) -> str:
        """All workers."""
        return WORKERS_TOPIC

    def refusal(self) -> int:
        """Whether the person administers a team."""
        user = _session_user(self.scope)
        if user is None:
            return SIGN_IN
        return 0 if permissions.teams_with(user, "usage.view") else FORBIDDEN


def _refusal(scope: Any, campaign: int) -> int:
    user = _session_user(scope)
    if user is None:
        return SIGN_IN
    return 0 if Campaign.objects.visible_to(user).filter(pk=campaign).exists() else NOT_FOUND


def _session_user(scope: Any) -> User | None:
    """The person of a session that still stands, read afresh; None when it ended or they were switched off."""
    data = scope["session"].load() if scope["session"].session_key else {}  # empty once it ended or expired
    user = User.objects.filter(pk=data.get(SESSION_KEY, 0), is_active=True).first()
    if user is None or not constant_time_compare(data.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
        return None
    return user
