"""The sockets at which clients come."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from pgharness.proxy.server.session import Session

if TYPE_CHECKING:
    from pgharness.proxy.server.proxy import Proxy

_BACKLOG = 1024


class Listening:
    """Lets clients come to ``listeners``, which are bound."""

    def __init__(self, proxy: Proxy, listeners: list[socket.socket]) -> None:
        self._proxy = proxy
        self._listeners = listeners

    def begin(self) -> None:
        """Take those who have come, and all who come from now on."""
        for listener in self._listeners:
            listener.setblocking(False)
            listener.listen(_BACKLOG)
            self._proxy.register(listener, self.accept)
        self._listeners = []

    def accept(self, listener: Any) -> None:
        """Take the client who waits at ``listener``."""
        try:
            opened, _ = listener.accept()
        except OSError:
            return
        opened.setblocking(False)
        if opened.family != getattr(socket, "AF_UNIX", None):
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._proxy.watch(Session(self._proxy, opened))
