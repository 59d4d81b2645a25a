"""The replacement of a worker's database between two tests, by clones made ahead."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Coroutine
from typing import Any

import asyncpg
import asyncpg.prepared_stmt

from pgharness.databases import cloning, ledger, names, problems
from pgharness.databases.ledger import Connection
from pgharness.schema.sql import connect, quoted
from pgharness.server.base import Server

_MOST_AHEAD = 4
_MOST_USED = 4
_AFTERWARDS = 0.001


class _LazyConnection:
    """A connection that is opened when first used, and anew if it was lost."""

    def __init__(self, server: Server, label: str) -> None:
        self._server = server
        self._label = label[:63]
        self._connection: Connection | None = None
        self._ending: asyncpg.prepared_stmt.PreparedStatement[Any] | None = None

    async def get(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            address = self._server.address
            self._connection = await connect(address, address.database, self._label)
            self._ending = None
        return self._connection

    async def terminate(self, name: str) -> None:
        """As `ledger.terminate`, its statement prepared once."""
        connection = await self.get()
        self._ending = self._ending or await connection.prepare(ledger.TERMINATE)
        await ledger.terminate(connection, name, self._ending)

    async def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(asyncpg.PostgresError, *problems.GONE):
                await self._connection.close(timeout=5)


class ClonesAhead:
    """Replaces one worker's database by a fresh clone of the same name. Runs on the background loop.

    What a test waits for is the end of its connections and two renames, some 2 ms. Clones are made
    and used databases dropped meanwhile, each on a connection of its own. One clone is held ready,
    and one more (four at most) after each time that a test had to wait for one.
    """

    def __init__(self, server: Server, origin: cloning.Source, run: str, worker: str) -> None:
        label = f"pgharness {run} {worker}"
        self._server = server
        self._origins = [origin]
        """The template, and what was kept of modules and classes: clones are made from the last."""
        self._run = run
        self._worker = worker
        self._name = names.worker_database_name(run, worker)
        self._swapper, self._maker, self._dropper = (_LazyConnection(server, label) for _ in range(3))
        self._ahead = 1
        self._spares: list[str] = []
        self._used: list[str] = []
        self._making: asyncio.Task[None] | None = None
        self._dropping: asyncio.Task[None] | None = None
        self._standing = False
        """Whether a database that was made here bears the worker's name."""
        self._number = 0
        self._swapping = asyncio.Lock()
        self._cloning = asyncio.Lock()
        self._closed = False

    @property
    def _where(self) -> str:
        return f"{self._server.address.host}:{self._server.address.port}"

    async def stock(self) -> None:
        """Begin to make clones ahead. What fails is said by the replacement that needs one."""
        self._begin()

    async def replace(self) -> None:
        """Put a fresh clone in the place of the worker's database."""
        async with self._swapping:
            spare = await self._take()
            try:
                await self._swap(spare)
            except asyncpg.InvalidCatalogNameError:  # somebody has dropped one of the two
                self._spares.clear()
                self._standing = False
                await self._swap(await self._take())
            if len(self._used) > _MOST_USED and self._dropping is not None:
                await asyncio.wait({self._dropping})
            # A moment later: what this loop does now, the thread that waits for the answer cannot.
            asyncio.get_running_loop().call_later(_AFTERWARDS, self._begin)

    async def keep(self, level: int) -> None:
        """Make the worker's database, as it stands, what its clones are made from until `forget`.

        ``level`` counts from 1, for a class within a module one more than the module's; what was kept
        at this level before is dropped.
        """
        async with self._swapping:
            async with self._cloning:
                kept, origin = self._next(), self._origins[0]
                connection = await self._swapper.get()
                await self._shut(connection)
                await connection.execute(f"ALTER DATABASE {quoted(self._name)} RENAME TO {quoted(kept)}")
                self._standing = False
                self._cut(level)
                self._origins.append(dataclasses.replace(origin, name=kept))
            await self._swap(await self._take())
            self._begin()

    async def forget(self, level: int) -> None:
        """Replace the worker's database by a clone of what stood before `keep` at this ``level``."""
        async with self._swapping, self._cloning:
            self._cut(level)
        await self.replace()

    def _cut(self, level: int) -> None:
        self._used += [origin.name for origin in self._origins[level:]] + self._spares
        del self._origins[level:]
        self._spares.clear()

    async def close(self) -> None:
        """Finish what is under way and disconnect. Drops nothing more: the ledger knows it all."""
        async with self._swapping:
            self._closed = True
            if under_way := {task for task in (self._making, self._dropping) if task is not None}:
                await asyncio.wait(under_way)
            for connection in (self._swapper, self._maker, self._dropper):
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

    async def _swap(self, spare: str) -> None:
        connection = await self._swapper.get()
        old = quoted(self._name)
        moves = [f"ALTER DATABASE {quoted(spare)} RENAME TO {old}"]
        used = None
        if self._standing or await ledger.entry(connection, self._name, self._where) is not None:
            used = self._next()
            moves.insert(0, f"ALTER DATABASE {old} RENAME TO {quoted(used)}")
            await self._shut(connection)
        await connection.execute("; ".join(moves))  # sent as one, they are one transaction
        self._standing = True
        if used:
            self._used.append(used)

    async def _shut(self, connection: Connection) -> None:
        """End the connections to the worker's database and let nobody in."""
        await connection.execute(f"ALTER DATABASE {quoted(self._name)} ALLOW_CONNECTIONS false")
        await self._swapper.terminate(self._name)

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
        """Drop one used database. It was ours when it was renamed, and nobody can have connected since."""
        connection = await self._dropper.get()
        await connection.execute(f"DROP DATABASE IF EXISTS {quoted(self._used[0])} WITH (FORCE)")
        self._used.pop(0)

    def _next(self) -> str:
        self._number += 1
        return names.spare_name(self._run, self._worker, self._number)
