"""A browser's end of a socket, for tests: speaks ASGI to the application directly."""

from __future__ import annotations

import json
from typing import Any

from asgiref.testing import ApplicationCommunicator

from zimage_web.asgi import application

HOST = b"127.0.0.1:8000"
ORIGIN = b"http://127.0.0.1:8000"


class BrowserSocket:
    """One socket, by default on a campaign; messages come out in the order in which they were sent."""

    def __init__(
        self, campaign: int | str, cookie: bytes, *, origin: bytes | None = ORIGIN, path: str = "/ws/campaign/{}/",
    ) -> None:
        headers = [(b"host", HOST), (b"cookie", cookie)] + ([(b"origin", origin)] if origin is not None else [])
        communicator: Any = ApplicationCommunicator  # asgiref leaves its methods untyped
        self.line = communicator(application, {
            "type": "websocket", "path": path.format(campaign), "query_string": b"", "headers": headers,
            "subprotocols": []})

    async def connect(self) -> bool:
        """Ask for the connection; whether it was accepted."""
        await self.line.send_input({"type": "websocket.connect"})
        answer = await self.line.receive_output(5)
        return bool(answer["type"] == "websocket.accept")

    async def hear(self) -> dict[str, Any]:
        """The next event."""
        message = await self.line.receive_output(5)
        assert message["type"] == "websocket.send", message
        heard: dict[str, Any] = json.loads(message["text"])
        return heard

    async def silent(self, seconds: float) -> bool:
        """Whether nothing comes for so long."""
        return bool(await self.line.receive_nothing(seconds))

    async def closed_with(self) -> int:
        """The code with which the studio closes; fails when it sends something else."""
        message = await self.line.receive_output(5)
        assert message["type"] == "websocket.close", message
        code: int = message["code"]
        await self.line.send_input({"type": "websocket.disconnect", "code": code})
        await self.line.wait(5)
        return code

    async def leave(self) -> None:
        """Close the page, if the studio has not closed the socket before."""
        if self.line.future.done():
            return
        await self.line.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.line.wait(5)
