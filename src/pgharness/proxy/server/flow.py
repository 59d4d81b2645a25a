"""Who is not read for a while, because somebody else does not take what has been read already."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pgharness.proxy.server.secured import Socket

if TYPE_CHECKING:
    from pgharness.proxy.server.proxy import Proxy
    from pgharness.proxy.server.session import Session

MOST = 4 * 1024 * 1024
"""How many bytes may wait for somebody who takes no more, before nothing more is read for him."""


class Flow:
    """Keeps what waits to be sent within bounds, in both directions."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._paused: dict[Session, tuple[Socket, Callable[[Any], None]]] = {}
        self._stalled: set[Session] = set()

    def pause(self, session: Session, source: Socket, readable: Callable[[Any], None]) -> None:
        """Read nothing more from the server at ``source`` until ``session`` has been sent what waits."""
        if session not in self._paused:
            self._paused[session] = (source, readable)
            self._proxy.unregister(source)

    def go_on(self, session: Session) -> None:
        """Read from the server again if ``session`` is not why that is paused any more, or has gone."""
        if session in self._paused and (not session.is_full or session.is_closed):
            source, readable = self._paused.pop(session)
            if source.fileno() >= 0:
                self._proxy.register(source, readable)

    def stall(self, session: Session, unsent: int) -> None:
        """Read nothing more from ``session`` while ``unsent`` bytes wait for the server, if they are many."""
        if unsent > MOST:
            self._stalled.add(session)
            self._proxy.watch(session)

    def is_stalled(self, session: Session) -> bool:
        return session in self._stalled

    def taken(self) -> None:
        """A server has taken all that waited for it."""
        stalled, self._stalled = self._stalled, set()
        for session in stalled:
            if not session.is_closed:
                self._proxy.watch(session)
