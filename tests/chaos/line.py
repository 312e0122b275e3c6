"""A TCP line in front of a server, to be cut, to hang, or to bring somebody else's answer."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread
from typing import Literal

Mode = Literal["open", "cut", "hang", "refuse"]
#: What a store says that is out of order.
_OUT_OF_ORDER = (b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nConnection: close\r\n"
                 b"Content-Length: 50\r\n\r\n<Error><Code>ServiceUnavailable</Code></Error>    ")


class Line:
    """Listens on a loopback port. `mode` holds for connections that begin from then on.

    "cut": they end at once. "hang": nothing ever comes back. "refuse": the answer is a 503.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.mode: Mode = "open"
        self._target = target
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        Thread(target=self._listen, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._socket.getsockname()[1]
        return port

    def switch(self, mode: Mode) -> None:
        """Change the mode, and end the connections there are."""
        self.mode = mode
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while True:
            near, _address = self._socket.accept()
            Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        self._open.add(near)
        try:
            if self.mode == "open":
                with socket.create_connection(self._target, 5) as far:
                    self._open.add(far)
                    back = Thread(target=_pump, args=(far, near), daemon=True)
                    back.start()
                    _pump(near, far)
                    back.join()
                    self._open.discard(far)
            elif self.mode == "hang":
                while near.recv(65536):
                    pass
            elif self.mode == "refuse":
                near.recv(65536)
                near.sendall(_OUT_OF_ORDER)
        except OSError:
            pass  # either end has gone: what this is here for
        finally:
            self._open.discard(near)
            near.close()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
