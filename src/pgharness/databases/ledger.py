"""The ledger: which databases on a server the harness made, for which run, and whether it lives.

The ledger is on the server itself. Each database is marked by a comment that holds JSON, and by a
connection limit that is set in the very statement that creates it: a client killed in between
leaves a database that can still be told from anybody else's. Only marked databases are ever dropped.

A run is alive while it holds its advisory lock. Ages and names decide nothing about it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import datetime as dt
import hashlib
import itertools
import json
import os
import socket
from collections.abc import AsyncIterator
from typing import Any, Literal, TypeAlias

import asyncpg

from pgharness.databases import problems
from pgharness.databases.names import run_of
from pgharness.schema.sql import quoted

Connection: TypeAlias = "asyncpg.Connection[Any]"
Kind = Literal["template", "build", "worker"]

BIRTHMARK = 0x50474821
"""The connection limit of every database that the harness creates."""
UNUSED = dt.timedelta(days=7)
"""A template that no run has used for so long is dropped."""
_TERMINATE_SECONDS = 5.0
_AT_ONCE = 5
"""How often to look again before there is a pause between; a backend ends within a millisecond."""
_TERMINATE = (
    "SELECT pid, application_name, pg_terminate_backend(pid) FROM pg_stat_get_activity(NULL) "
    "WHERE datid = (SELECT oid FROM pg_database WHERE datname = $1) "
    "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the comment on a database says. Times are the server's; host and pid are for people."""

    kind: Kind
    run: str
    fingerprint: str
    created: dt.datetime
    used: dt.datetime
    host: str = dataclasses.field(default_factory=socket.gethostname)
    pid: int = dataclasses.field(default_factory=os.getpid)

    def to_json(self) -> str:
        times = {"created": self.created.isoformat(), "used": self.used.isoformat()}
        return json.dumps({"pgharness": 1, **dataclasses.asdict(self), **times})

    @classmethod
    def from_json(cls, text: str | None) -> Mark | None:
        """The mark in a comment; None if the harness did not write it."""
        try:
            fields = json.loads(text or "")
            if fields.pop("pgharness") != 1 or fields["kind"] not in ("template", "build", "worker"):
                return None
            for name in ("created", "used"):
                fields[name] = dt.datetime.fromisoformat(fields[name])
            return cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """A database on the server that has a name of the harness."""

    name: str
    mark: Mark | None
    born: bool
    """Whether it was created by the harness, as its connection limit tells."""
    is_template: bool

    @property
    def ours(self) -> bool:
        return self.mark is not None or self.born

    @property
    def run(self) -> str | None:
        if self.mark is not None:
            return self.mark.run if self.mark.kind != "template" else None
        return run_of(self.name) if self.born else None


async def entries(connection: Connection, name: str | None = None) -> list[Entry]:
    """Every database with a name of the harness, or only that of ``name``."""
    rows = await connection.fetch(
        "SELECT datname, shobj_description(oid, 'pg_database') AS comment, datconnlimit, datistemplate "
        "FROM pg_database WHERE starts_with(datname::text, 'pgh_') AND ($1::text IS NULL OR datname = $1) "
        "ORDER BY datname",
        name,
    )
    return [
        Entry(
            row["datname"],
            Mark.from_json(row["comment"]),
            row["datconnlimit"] == BIRTHMARK,
            row["datistemplate"],
        )
        for row in rows
    ]


async def entry(connection: Connection, name: str, where: str) -> Entry | None:
    """The database ``name``, None if there is none.

    Raises:
        DatabaseError: There is one that the harness did not make.
    """
    for found in await entries(connection, name):
        if not found.ours:
            raise problems.not_ours(name, where)
        return found
    return None


async def write(connection: Connection, name: str, mark: Mark) -> None:
    """Mark the database ``name``."""
    text = mark.to_json().replace("'", "''")
    await connection.execute(f"COMMENT ON DATABASE {quoted(name)} IS '{text}'")


async def now(connection: Connection) -> dt.datetime:
    """The server's time: clocks of different machines differ."""
    found: dt.datetime = await connection.fetchval("SELECT clock_timestamp()")
    return found


async def terminate(connection: Connection, name: str) -> None:
    """End every connection to ``name``, so that it can be copied, renamed or dropped at once.

    PostgreSQL's own FORCE looks again only after 100 ms; this takes 1 or 2 ms.

    Raises:
        DatabaseError: They come back, or do not end.
    """
    deadline = asyncio.get_running_loop().time() + _TERMINATE_SECONDS
    ending = await connection.prepare(_TERMINATE)
    for attempt in itertools.count():
        rows = await ending.fetch(name)
        if not rows:
            return
        if asyncio.get_running_loop().time() > deadline:
            holders = [f"process {row['pid']} {row['application_name']}".rstrip() for row in rows]
            raise problems.still_used(name, holders)
        await asyncio.sleep(0 if attempt < _AT_ONCE else 0.001)


async def drop(connection: Connection, name: str, where: str) -> None:
    """Drop the database ``name`` if it is there, whoever is connected.

    Raises:
        DatabaseError: The harness did not make it.
    """
    found = await entry(connection, name, where)
    if found is None:
        return
    await connection.execute(f"ALTER DATABASE {quoted(name)} ALLOW_CONNECTIONS false IS_TEMPLATE false")
    await terminate(connection, name)
    await connection.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")


def key(*words: str) -> int:
    """The advisory lock of ``words``, as a signed 64-bit number."""
    return int.from_bytes(
        hashlib.blake2b(":".join(words).encode(), digest_size=8).digest(), "big", signed=True
    )


async def holder(connection: Connection, lock: int) -> str | None:
    """Who holds ``lock`` besides ``connection``, in whatever database of the server; None if nobody.

    Advisory locks of different databases do not exclude each other, and two runs may have been
    given different maintenance databases.
    """
    bits = lock & 0xFFFFFFFFFFFFFFFF
    row = await connection.fetchrow(
        "SELECT l.pid, a.application_name FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid) "
        "WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 "
        "AND l.classid = $1 AND l.objid = $2 AND l.pid <> pg_backend_pid() LIMIT 1",
        bits >> 32,
        bits & 0xFFFFFFFF,
    )
    return f"process {row['pid']} {row['application_name'] or ''}".rstrip() if row else None


async def sign(connection: Connection, run: str, where: str) -> None:
    """Take the lock that shows ``run`` is alive for as long as ``connection`` is.

    Raises:
        DatabaseError: A run of this name is alive.
    """
    lock = key("run", run)
    taken = await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock)
    if not taken or await holder(connection, lock) is not None:
        raise problems.same_run(run, where)


@contextlib.asynccontextmanager
async def claimed(connection: Connection, lock: int) -> AsyncIterator[bool]:
    """Try to take ``lock``; yields whether nobody else holds it anywhere on the server."""
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):
        yield False
        return
    try:
        yield await holder(connection, lock) is None
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", lock)


async def sweep(connection: Connection, where: str, own: str) -> list[str]:
    """Drop what dead runs left, and templates long unused; returns the names. ``own`` is this run.

    One sweeper at a time: a second one has nothing to do. What belongs to another role stays.
    """
    dropped: list[str] = []
    async with claimed(connection, key("sweep")) as alone:
        if not alone:
            return dropped
        time = await now(connection)
        for found in await entries(connection):
            if found.run == own:
                continue
            if found.run is not None:
                lock = key("run", found.run)
            elif found.mark is not None and found.mark.kind == "template" and time - found.mark.used > UNUSED:
                lock = key("use", found.mark.fingerprint)
            else:
                continue
            async with claimed(connection, lock) as dead:
                if dead:
                    with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
                        await drop(connection, found.name, where)
                        dropped.append(found.name)
    return dropped
