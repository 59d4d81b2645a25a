"""Real connections of engines, ended with their test: pools keep theirs, and loops end before pools do."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

import asyncpg

from pgharness.loops import run_on

_SECONDS = 5.0


class RealConnections:
    """The asyncpg connections that engines have opened in a test with real commits.

    Such a connection belongs to the loop it was opened on. Left open, it can be closed by nobody
    once that loop has ended. Connections of psycopg can be closed from anywhere, and are by their pools.
    """

    def __init__(self) -> None:
        self._open: list[tuple[asyncio.AbstractEventLoop, weakref.ref[Any]]] = []

    def add(self, connection: Any) -> None:
        """Remember ``connection``, as SQLAlchemy's event hands it over."""
        driver = getattr(connection, "driver_connection", connection)
        if isinstance(driver, asyncpg.Connection):
            self._open.append((asyncio.get_running_loop(), weakref.ref(driver)))

    async def end_here(self) -> None:
        """End those of the running loop."""
        here = asyncio.get_running_loop()
        mine = [found for loop, found in self._open if loop is here]
        self._open = [entry for entry in self._open if entry[0] is not here]
        for found in mine:
            connection = found()
            if connection is not None:
                connection.terminate()
        await asyncio.sleep(0)  # the transport closes its socket in the loop's next turn

    def end(self) -> None:
        """End them all, from synchronous code; those whose loop has ended are forgotten."""
        for loop in {loop for loop, _ in self._open}:
            run_on(loop, self.end_here(), _SECONDS)
        self._open.clear()
