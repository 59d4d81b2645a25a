"""Pools end with their loop: connections of async drivers, closed on the event loop they were opened on.

A pool that outlives its loop, that of a module-level engine for example, keeps connections that nobody
can close any more. In production there is one loop; in tests there may be one for each.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import weakref
from collections.abc import AsyncGenerator
from typing import Any


class Pools:
    """The connections of async drivers that are open, by their loops."""

    def __init__(self) -> None:
        self._loops: dict[asyncio.AbstractEventLoop, _Open] = {}

    def add(self, connection: Any) -> asyncio.AbstractEventLoop:
        """Close ``connection``, an open one of a driver, when the running loop ends; returns that loop."""
        loop = asyncio.get_running_loop()
        found = self._loops.get(loop)
        if found is None:
            for ended in [each for each in self._loops if each.is_closed()]:
                del self._loops[ended]
            found = self._loops[loop] = _Open()
        found.connections.add(connection)
        return loop

    def __len__(self) -> int:
        """How many loops have, or have had, open connections and are not forgotten yet."""
        return len(self._loops)


class _Open:
    """What is open on the running loop.

    A loop that ends, be it by a runner of tests, by uvicorn or by ``asyncio.run``, first ends the
    asynchronous generators that have begun on it. This is one that has.
    """

    def __init__(self) -> None:
        self.connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._generator = _until_the_end(self.connections)
        with contextlib.suppress(StopIteration):
            self._generator.__anext__().send(None)


async def _until_the_end(connections: weakref.WeakSet[Any]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        for connection in list(connections):
            await end(connection)
        await asyncio.sleep(0)  # a transport closes its socket in the loop's next turn


async def end(connection: Any) -> None:
    """Close a connection of asyncpg or of psycopg, without a word if it is closed already."""
    terminate = getattr(connection, "terminate", None)
    if terminate is not None:
        terminate()
        return
    closing = connection.close()
    if inspect.isawaitable(closing):
        await closing


def forget(connection: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Give up a connection of another ``loop``, so that SQLAlchemy does not try to talk to it."""
    terminate = getattr(connection, "terminate", None)
    with contextlib.suppress(Exception):  # its transport asks the loop, which may be closed
        if terminate is not None:
            terminate()
        loop.call_soon_threadsafe(int)  # wakes it, if it runs, so that the transport closes now
