"""Clones made ahead, for tests with real commits."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Coroutine
from typing import Any

import asyncpg

from pgharness.databases import cloning, ledger, names, problems
from pgharness.databases.ledger import Connection
from pgharness.schema.sql import connect, quoted
from pgharness.server.base import Server

_MOST_AHEAD = 4
_MOST_USED = 4
_AFTERWARDS = 0.001


class LazyConnection:
    """A connection that is opened when first used, and anew if it was lost."""

    def __init__(self, server: Server, label: str) -> None:
        self._server = server
        self._label = label[:63]
        self._connection: Connection | None = None

    async def get(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            address = self._server.address
            self._connection = await connect(address, address.database, self._label)
        return self._connection

    async def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(asyncpg.PostgresError, *problems.GONE):
                await self._connection.close(timeout=5)


class ClonesAhead:
    """Yields clones for one worker's tests with real commits. Runs on the background loop.

    Clones are made and used ones dropped while tests run, each on a connection of its own. One is held
    ready, and one more (four at most) after each time that a test had to wait for one.
    """

    def __init__(self, server: Server, origin: cloning.Source, run: str, worker: str) -> None:
        label = f"pgharness {run} {worker}"
        self._server = server
        self._origins = [origin]
        """The template, and what was kept of wider scopes than a test: clones are made from the last."""
        self._run = run
        self._worker = worker
        self._maker, self._dropper = (LazyConnection(server, label) for _ in range(2))
        self._ahead = 1
        self._spares: list[str] = []
        self._used: list[str] = []
        self._making: asyncio.Task[None] | None = None
        self._dropping: asyncio.Task[None] | None = None
        self._number = 0
        self._taking = asyncio.Lock()
        self._cloning = asyncio.Lock()
        self._closed = False

    @property
    def _where(self) -> str:
        return f"{self._server.address.host}:{self._server.address.port}"

    async def take(self) -> str:
        """The name of a fresh clone, which is the caller's until it gives it back."""
        async with self._taking:
            taken = await self._take()
            if len(self._used) > _MOST_USED and self._dropping is not None:
                await asyncio.wait({self._dropping})
            # A moment later: what this loop does now, the thread that waits for the answer cannot.
            asyncio.get_running_loop().call_later(_AFTERWARDS, self._begin)
            return taken

    async def give_back(self, name: str) -> None:
        """Drop the clone ``name``, soon."""
        self._used.append(name)
        asyncio.get_running_loop().call_later(_AFTERWARDS, self._begin)

    async def drop_now(self, name: str) -> None:
        """Drop the clone ``name``, to which connections end."""
        self._used.append(name)
        while name in self._used:
            self._dropping = self._going(self._dropping, self._drop, needed=True)
            if self._dropping is None:
                return
            await asyncio.wait({self._dropping})
            if (error := self._dropping.exception()) is not None:
                raise error

    async def copy(self, name: str) -> str:
        """The name of a copy of the database ``name``, to which connections end."""
        async with self._cloning:
            connection = await self._maker.get()
            await ledger.terminate(connection, name)
            made, origin = self._next(), dataclasses.replace(self._origins[0], name=name)
            await cloning.clone(connection, self._server, origin, made, self._run)
            return made

    async def keep(self, name: str) -> None:
        """Have clones made from the database ``name``, to which nobody is connected, until `forget`."""
        async with self._taking, self._cloning:
            self._origins.append(dataclasses.replace(self._origins[0], name=name))
            self._drop_spares()
        self._begin()

    async def forget(self) -> None:
        """Drop what was kept last, and have clones made from what was kept before."""
        async with self._taking, self._cloning:
            self._used.append(self._origins.pop().name)
            self._drop_spares()
        self._begin()

    def _drop_spares(self) -> None:
        self._used += self._spares
        self._spares.clear()

    async def close(self) -> None:
        """Finish what is under way and disconnect. Drops nothing more: the ledger knows it all."""
        async with self._taking:
            self._closed = True
            if under_way := {task for task in (self._making, self._dropping) if task is not None}:
                await asyncio.wait(under_way)
            for connection in (self._maker, self._dropper):
                await connection.close()

    async def _take(self) -> str:
        """A clone made ahead; waits for one if there is none."""
        if not self._spares:
            if self._making is not None:
                self._ahead = min(self._ahead + 1, _MOST_AHEAD)
                await asyncio.wait({self._making})
            if not self._spares:
                await self._make()
        return self._spares.pop(0)

    def _begin(self) -> None:
        self._making = self._going(self._making, self._make, needed=len(self._spares) < self._ahead)
        self._dropping = self._going(self._dropping, self._drop, needed=bool(self._used))

    def _going(
        self, task: asyncio.Task[None] | None, work: Any, *, needed: bool
    ) -> asyncio.Task[None] | None:
        """The task that does ``work``, started if it is ``needed`` and none is under way."""
        if not needed or self._closed or (task is not None and not task.done()):
            return task
        coroutine: Coroutine[Any, Any, None] = work()
        made = asyncio.create_task(coroutine)
        made.add_done_callback(self._go_on)
        return made

    def _go_on(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._begin()

    async def _make(self) -> None:
        async with self._cloning:
            name = self._next()
            await cloning.clone(await self._maker.get(), self._server, self._origins[-1], name, self._run)
            self._spares.append(name)

    async def _drop(self) -> None:
        """Drop one used database, which was made here; whoever is connected to it still is no test's."""
        connection = await self._dropper.get()
        await ledger.terminate(connection, self._used[0])
        await connection.execute(f"DROP DATABASE IF EXISTS {quoted(self._used[0])} WITH (FORCE)")
        self._used.pop(0)

    def _next(self) -> str:
        self._number += 1
        return names.spare_name(self._run, self._worker, self._number)
