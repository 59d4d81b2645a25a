"""The databases of a run: its template, built once per server, and its workers' clones.

Used by the controller process alone; every method is synchronous.
"""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import asyncpg

from pgharness.config import Config
from pgharness.databases import cloning, ledger, locales, names, owner, problems
from pgharness.databases.ahead import ClonesAhead
from pgharness.databases.ledger import Connection, Mark
from pgharness.databases.names import worker_database_name
from pgharness.databases.templates import Template, TemplateSite
from pgharness.schema.find import Schema
from pgharness.schema.sql import connect
from pgharness.server.background import background
from pgharness.server.base import Address, Server

T = TypeVar("T")

_seconds = functools.partial(time.perf_counter)  # freezegun replaces the function, not what holds it
_CLOSE_SECONDS = 30.0


class Databases:
    """What this run makes on ``server``, until `close`.

    Args:
        server: A server that answers.
        run_id: Names this run; no other run on the server may have it.
        config: The options of the run.
        build_wait: How long another run may take to build the template we wait for, in seconds.
    """

    def __init__(self, server: Server, *, run_id: str, config: Config, build_wait: float = 600.0) -> None:
        self.server = server
        self.config = config
        self._run = names.run_label(run_id)
        self._build_wait = build_wait
        self._connection: Connection | None = None
        self._owner = server.address
        """The login of the role that owns the databases."""
        self._source: cloning.Source | None = None
        self._clones: dict[str, ClonesAhead] = {}
        self._empty = 0
        self._lock = threading.RLock()

    @property
    def _where(self) -> str:
        return f"{self.server.address.host}:{self.server.address.port}"

    def open(self) -> Address:
        """Connect, take the lock that shows this run is alive, and sweep what dead runs left.

        Returns the login of the role that owns the databases.

        Raises:
            DatabaseError: The server does not answer or refuses, a run of this name is alive, or the role of
                ``pg_role`` cannot be had.
        """
        with self._lock:
            if self._connection is None:
                self._ask(self._open(), self.config.start_timeout)
            return self._owner

    def close(self) -> None:
        """Drop every database of this run and disconnect. Safe to call twice, and if the server is gone."""
        with self._lock, contextlib.suppress(asyncpg.PostgresError, *problems.GONE):
            connection, self._connection = self._connection, None
            if connection is not None:
                background.run(self._close(connection), _CLOSE_SECONDS)

    def abandon(self) -> None:
        """Disconnect and leave the databases: for a server that is removed with all it holds."""
        with self._lock, contextlib.suppress(asyncpg.PostgresError, *problems.GONE):
            connection, self._connection = self._connection, None
            if connection is not None:
                background.run(self._leave(connection), _CLOSE_SECONDS)

    async def _leave(self, connection: Connection) -> None:
        for clones in self._clones.values():
            await clones.close()
        self._clones.clear()
        await connection.close(timeout=5)

    def template(self, schema: Schema) -> Template:
        """Find the template of ``schema``, or build it; of several runs at once one builds, the others wait.

        Raises:
            SchemaError: The schema cannot be built; nothing of the attempt stays.
            DatabaseError: The server refuses, or a database of that name is not the harness's.
        """
        began = _seconds()
        fingerprint = schema.fingerprint(self.server.major, self._owner.user)
        with self._lock:
            site = TemplateSite(
                self._open_connection(),
                self._run,
                self._where,
                fingerprint,
                self._owner.user,
                self.config.locale,
            )
            hit = self._ask(site.found()) or self._build_once(site, schema)
            if self.config.role not in (owner.NAME, self._owner.user):
                self._ask(owner.check(site.connection, self.config.role, self._where))
            found = self._ask(cloning.source(site.connection, site.name, fingerprint, self._owner.user))
            self._source = cloning.with_lock_timeout(found, self.config.lock_timeout)
        return Template(site.name, fingerprint, hit, _seconds() - began)

    def clone(self, worker: str) -> str:
        """Make the database of ``worker`` from the template, anew if there is one; returns its name.

        Raises:
            DatabaseError: The server refuses, or a database of that name is not the harness's.
        """
        name = worker_database_name(self._run, worker)
        with self._lock:
            self._ask(self._clone(name))
        return name

    def take(self, worker: str) -> str:
        """The name of a fresh clone for ``worker``, which `give_back` drops.

        Raises:
            DatabaseError: The server refuses.
        """
        return self._ask(self._clones_of(worker).take())

    def give_back(self, worker: str, name: str) -> None:
        """Drop the clone ``name``, without waiting for it."""
        self._ask(self._clones_of(worker).give_back(name))

    def drop_clone(self, worker: str, name: str) -> None:
        """Drop the clone ``name`` of ``worker``, and wait for it.

        Raises:
            DatabaseError: The server refuses.
        """
        self._ask(self._clones_of(worker).drop_now(name))

    def copy(self, worker: str, name: str) -> str:
        """Copy the database ``name`` of ``worker``, to which connections end; returns the copy's name.

        Raises:
            DatabaseError: The server refuses, or connections to the database do not end.
        """
        return self._ask(self._clones_of(worker).copy(name))

    def keep(self, worker: str, name: str) -> None:
        """Make the clones of ``worker`` from its database ``name``, until `forget`."""
        self._ask(self._clones_of(worker).keep(name))

    def forget(self, worker: str) -> None:
        """Make the clones of ``worker`` from what was kept before the last, which is dropped."""
        self._ask(self._clones_of(worker).forget())

    def _clones_of(self, worker: str) -> ClonesAhead:
        with self._lock:
            if worker not in self._clones:
                self._clones[worker] = ClonesAhead(self.server, self._template(), self._run, worker)
            return self._clones[worker]

    def drop(self, worker: str) -> None:
        """Drop the database of ``worker``, whoever is connected, and what was made ahead for it.

        Raises:
            DatabaseError: The server refuses, or a database of that name is not the harness's.
        """
        with self._lock:
            self._ask(self._drop(worker))

    def create_empty(self, worker: str) -> str:
        """Make an empty database for a test of ``worker``, besides its own; returns its name.

        Raises:
            DatabaseError: The server refuses.
        """
        with self._lock:
            self._empty += 1
            name = names.empty_name(self._run, worker, self._empty)
            self._ask(self._create_empty(name))
        return name

    def drop_empty(self, name: str) -> None:
        """Drop what `create_empty` made, whoever is connected.

        Raises:
            DatabaseError: The server refuses, or the database is not the harness's.
        """
        with self._lock:
            self._ask(self._drop_named(name))

    async def _create_empty(self, name: str) -> None:
        connection = self._open_connection()
        await ledger.drop(connection, name, self._where)
        copy = cloning.copy_clause(self.server)
        await locales.create(connection, name, self._owner.user, self.config.locale, copy)
        now = await ledger.now(connection)
        await ledger.write(
            connection, name, Mark(kind="worker", run=self._run, fingerprint="", created=now, used=now)
        )

    async def _drop_named(self, name: str) -> None:
        await ledger.drop(self._open_connection(), name, self._where)

    def _ask(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        with problems.explained(self.server.address):
            return background.run(coroutine, timeout)

    async def _open(self) -> None:
        address = self.server.address
        label = f"pgharness {self._run} {socket.gethostname()}:{os.getpid()}"[:63]
        connection = await connect(address, address.database, label)
        try:
            await ledger.sign(connection, self._run, self._where)
            await ledger.sweep(connection, self._where, self._run)
            self._owner = await owner.of(connection, self.server, self.config.role)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    async def _close(self, connection: Connection) -> None:
        try:
            for clones in self._clones.values():
                await clones.close()
            for found in await ledger.entries(connection):
                if found.run == self._run:
                    await ledger.drop(connection, found.name, self._where)
        finally:
            self._clones.clear()
            await connection.close(timeout=5)

    def _build_once(self, site: TemplateSite, schema: Schema) -> bool:
        """Build the template unless another run has done so meanwhile; returns whether it has."""
        self._ask(site.claim(self._build_wait))
        try:
            if self._ask(site.found()):
                return True
            try:
                self._ask(site.begin())
                schema.apply(self._owner, site.building, self.server.address)
                return self._ask(site.publish())
            except BaseException:
                with contextlib.suppress(asyncpg.PostgresError, *problems.GONE):
                    background.run(site.discard())
                raise
        finally:
            with contextlib.suppress(asyncpg.PostgresError, *problems.GONE):
                background.run(site.release())

    async def _clone(self, name: str) -> None:
        connection = self._open_connection()
        await ledger.drop(connection, name, self._where)
        await cloning.clone(connection, self.server, self._template(), name, self._run)

    async def _drop(self, worker: str) -> None:
        connection = self._open_connection()
        clones = self._clones.pop(worker, None)
        if clones is not None:
            await clones.close()
        await ledger.drop(connection, worker_database_name(self._run, worker), self._where)
        for found in await ledger.entries(connection):
            if names.is_spare(found.name, self._run, worker):
                await ledger.drop(connection, found.name, self._where)

    def _open_connection(self) -> Connection:
        if self._connection is None:
            raise RuntimeError("Databases is not open")
        return self._connection

    def _template(self) -> cloning.Source:
        if self._source is None:
            raise RuntimeError("Databases.template comes before clone and take")
        return self._source
