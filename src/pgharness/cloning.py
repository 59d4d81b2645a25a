"""Clones of a template, and their replacement between two tests."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import Any

import asyncpg

from pgharness import database_problems as problems
from pgharness import ledger, names
from pgharness.ledger import BIRTHMARK, Connection, Mark
from pgharness.schema.sql import connect, quoted
from pgharness.server.base import Server

_FILE_COPY_SINCE = 15
_LISTS = {
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "temp_tablespaces",
}
"""Settings whose stored value is a list of names, each quoted already."""


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """A template, and the settings its migrations gave it, which CREATE DATABASE does not copy."""

    name: str
    fingerprint: str
    settings: tuple[str, ...]


async def source(connection: Connection, name: str, fingerprint: str) -> Source:
    """Read what a clone of the template ``name`` needs."""
    rows = await connection.fetch(
        "SELECT unnest(setconfig) AS line FROM pg_db_role_setting s "
        "JOIN pg_database d ON d.oid = s.setdatabase "
        "WHERE d.datname = $1 AND s.setrole = 0",
        name,
    )
    return Source(name, fingerprint, tuple(row["line"] for row in rows))


def copy_clause(server: Server) -> str:
    """How to copy: files force a checkpoint, cheap on a server of our own, rude on anybody else's."""
    return " STRATEGY FILE_COPY" if server.owned and server.major >= _FILE_COPY_SINCE else ""


async def clone(connection: Connection, server: Server, origin: Source, name: str, run: str) -> None:
    """Make the database ``name`` from ``origin`` and mark it."""
    copy = copy_clause(server)
    await connection.execute(
        f"CREATE DATABASE {quoted(name)} TEMPLATE {quoted(origin.name)}{copy} CONNECTION LIMIT {BIRTHMARK}"
    )
    time = await ledger.now(connection)
    mark = Mark(kind="worker", run=run, fingerprint=origin.fingerprint, created=time, used=time)
    await ledger.write(connection, name, mark)
    for line in origin.settings:
        setting, _, value = line.partition("=")
        shown = value if setting in _LISTS and value else "'" + value.replace("'", "''") + "'"
        await connection.execute(f"ALTER DATABASE {quoted(name)} SET {setting} TO {shown}")


class Workshop:
    """Replaces one worker's database by a fresh clone, the next one made while a test runs.

    What a test waits for is the end of its connections and two renames, about 4 ms; the clone and
    the drop happen behind its back. All methods run on the background loop.
    """

    def __init__(self, server: Server, origin: Source, run: str, worker: str) -> None:
        self._server = server
        self._origin = origin
        self._run = run
        self._worker = worker
        self._name = names.worker_database_name(run, worker)
        self._connection: asyncpg.Connection[Any] | None = None
        self._spare: str | None = None
        self._refill: asyncio.Task[None] | None = None
        self._number = 0
        self._lock = asyncio.Lock()

    @property
    def _where(self) -> str:
        return f"{self._server.address.host}:{self._server.address.port}"

    async def replace(self) -> None:
        """Put a fresh clone in the place of the worker's database."""
        async with self._lock:
            await self._replace()

    async def _replace(self) -> None:
        await self._settle()
        if self._connection is None or self._connection.is_closed():
            address = self._server.address
            self._connection = await connect(
                address, address.database, f"pgharness {self._run} {self._worker}"[:63]
            )
        connection = self._connection
        if self._spare is None:
            await self._prepare(connection)
        old, spare = quoted(self._name), self._spare
        assert spare is not None  # noqa: S101 (just prepared)
        used = None
        if await ledger.entry(connection, self._name, self._where) is not None:
            used = self._next()
            await connection.execute(f"ALTER DATABASE {old} ALLOW_CONNECTIONS false")
            await ledger.terminate(connection, self._name)
        async with connection.transaction():
            if used:
                await connection.execute(f"ALTER DATABASE {old} RENAME TO {quoted(used)}")
            await connection.execute(f"ALTER DATABASE {quoted(spare)} RENAME TO {old}")
        self._spare = None
        self._refill = asyncio.create_task(self._restock(connection, used))

    async def close(self) -> None:
        """Finish what is under way and close the connection. Drops nothing: the ledger knows it all."""
        async with self._lock:
            await self._settle()
            if self._connection is not None:
                with contextlib.suppress(asyncpg.PostgresError, *problems.GONE):
                    await self._connection.close(timeout=5)

    async def _settle(self) -> None:
        """Wait for the refill. If it failed, the next replacement does its work, and says why it cannot."""
        refill, self._refill = self._refill, None
        if refill is not None:
            with contextlib.suppress(asyncpg.PostgresError, *problems.GONE):
                await refill

    async def _restock(self, connection: Connection, used: str | None) -> None:
        await self._prepare(connection)
        if used:
            await ledger.drop(connection, used, self._where)

    async def _prepare(self, connection: Connection) -> None:
        name = self._next()
        await clone(connection, self._server, self._origin, name, self._run)
        self._spare = name

    def _next(self) -> str:
        self._number += 1
        return names.spare_name(self._run, self._worker, self._number)
