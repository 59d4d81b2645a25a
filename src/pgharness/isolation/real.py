"""Real connections of engines: who had them when a lock was waited for in vain, and their end.

They are ended with their test, for pools keep theirs, and loops end before pools do.
"""

from __future__ import annotations

import asyncio
import re
import textwrap
import weakref
from typing import Any

import asyncpg

from pgharness.isolation.commands import HOLDERS
from pgharness.isolation.foreign import connect_unwatched
from pgharness.isolation.origin import origin
from pgharness.isolation.target import Target
from pgharness.server.background import background
from pgharness.web.loops import run_on

_SECONDS = 5.0
_LOCK_TIMEOUT = "canceling statement due to lock timeout"


class RealConnections:
    """The connections that engines have opened in a test with real commits.

    One of asyncpg belongs to the loop it was opened on. Left open, it can be closed by nobody
    once that loop has ended. Connections of psycopg can be closed from anywhere, and are by their pools.

    Args:
        target: The database they go to.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._open: list[tuple[asyncio.AbstractEventLoop, weakref.ref[Any]]] = []
        self._taken: dict[int, str] = {}
        """Where the session of each process of the server was begun."""

    def add(self, connection: Any) -> None:
        """Remember ``connection``, as SQLAlchemy's event hands it over."""
        driver = getattr(connection, "driver_connection", connection)
        if isinstance(driver, asyncpg.Connection):
            self._open.append((asyncio.get_running_loop(), weakref.ref(driver)))

    def taken(self, connection: Any) -> None:
        """Remember where ``connection`` is handed out."""
        self._taken[_process(connection)] = origin()

    def explain(self, test_id: str, connection: Any, statement: str, error: BaseException) -> None:
        """Add to ``error`` who else was in a transaction, if ``statement`` has waited for a lock in vain."""
        if _LOCK_TIMEOUT not in str(error):
            return
        process = _process(connection)
        rows = background.run(self._holders(process), _SECONDS)
        error.add_note(
            f"pgharness: {test_id}: {textwrap.shorten(statement, 80)!r}, of the session of "
            f"{self._taken.get(process, 'an unknown place')}, waited in vain for a lock."
        )
        for row in rows:
            found = re.match(r"process (\d+)", row)
            place = self._taken.get(int(found[1])) if found else None
            error.add_note(f"  - in a transaction: {row}" + (f", of the session of {place}" if place else ""))

    async def _holders(self, process: int) -> list[str]:
        connection = await connect_unwatched(self._target)
        try:
            return [row[0] for row in await connection.fetch(HOLDERS.format(pid=process))]
        finally:
            await connection.close(timeout=_SECONDS)

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
        self._taken.clear()


def _process(connection: Any) -> int:
    """The process of the server that serves ``connection``, of whatever kind; 0 if that cannot be told."""
    driver = getattr(connection, "driver_connection", connection)
    if isinstance(driver, asyncpg.Connection):
        return int(driver.get_server_pid())
    return int(getattr(getattr(driver, "info", None), "backend_pid", 0))
