"""One worker process and its database: what begins and ends each test that asks for it."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import asyncpg

from pgharness.config import Config
from pgharness.databases.sequences import Restart, restart_of
from pgharness.errors import HarnessError, IsolationError
from pgharness.isolation.engines import Engines, Isolation
from pgharness.isolation.foreign import connect_unwatched
from pgharness.isolation.rollback import Rollback
from pgharness.isolation.target import Target
from pgharness.runs.run import Provider, WorkerDatabase
from pgharness.server.background import background

T = TypeVar("T")
_WRITERS = """
    SELECT DISTINCT lower(p.proname)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.provolatile = 'v' AND p.prorettype <> 'trigger'::regtype
      AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""
_DEFERRABLE = "SELECT EXISTS (SELECT FROM pg_constraint WHERE condeferrable)"


class Worker:
    """The worker's side of the harness.

    Args:
        name: ``main``, or xdist's name of the worker.
        config: The resolved options.
        provider: Where databases come from.
    """

    def __init__(self, name: str, config: Config, provider: Provider) -> None:
        self.name = name
        self.config = config
        self.provider = provider
        self._stocked = False
        self._restorer = concurrent.futures.ThreadPoolExecutor(1, "pgharness restore")
        self._restoring: concurrent.futures.Future[None] | None = None
        """The replacement of the database, begun at the end of a test, awaited by whoever needs it next."""
        self.database: WorkerDatabase = provider.database(name)
        address = self.database.server.address
        target = Target(
            host=address.host,
            port=address.port,
            user=address.user,
            password=address.password,
            database=self.database.name,
            lock_timeout=config.lock_timeout,
            strict=config.strict,
            clock=config.clock == "on",
            tls=not self.database.server.owned,
        )
        self._target = target
        self._level = 0
        """How many scopes with data that is committed are open, one in the other."""
        self._changed = False
        """Whether such data may have been made since the last test."""
        self._used = False
        """Whether a test has run since the database was cloned, and may have used its sequences."""
        known, self._restart = self._ask(self._read)
        self.engines = Engines(Rollback(known))
        self.engines.install()

    async def _read(self, connection: asyncpg.Connection[Any]) -> tuple[Target, Restart | None]:
        """The target with what isolation has to know of the schema, and what sets the sequences back."""
        known = dataclasses.replace(
            self._target,
            writers=frozenset(row[0] for row in await connection.fetch(_WRITERS)),
            deferrable=await connection.fetchval(_DEFERRABLE),
        )
        return known, await restart_of(connection)

    def _ask(self, question: Callable[[asyncpg.Connection[Any]], Awaitable[T]]) -> T:
        """The answer of ``question``, asked on a connection of its own."""
        self._restored()
        target = self._target

        async def ask() -> T:
            connection = await connect_unwatched(target)
            try:
                return await question(connection)
            finally:
                await connection.close()

        return background.run(ask(), timeout=self.config.start_timeout)

    @contextlib.contextmanager
    def test(
        self,
        test_id: str,
        isolation: Isolation,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        reset_sequences: bool = False,
        has_failed: Callable[[], bool] = lambda: False,
    ) -> Iterator[None]:
        """Isolate one test; raises at its end what the test must not have done.

        ``loop`` is what it runs on, if that is known and outlives it.
        ``reset_sequences`` sets the sequences to where they stood when the database was cloned, or
        when the data of the test's module or class had been made.
        Where the test ``has_failed`` already, what may be a mere consequence of that is not raised.
        """
        engines, rollback = self.engines, self.engines.rollback
        self._restored()
        self._keep()
        engines.outsider = ""
        restart = self._restart if reset_sequences else None
        if isolation == "rollback":
            rollback.start(test_id, restart)
        else:
            self._make_ready(restart)
        self._used = True
        engines.isolation, engines.test = isolation, test_id
        rollback.outlived.begin(loop)
        try:
            yield
        finally:
            rollback.outlived.end()
            errors = self._finish(isolation)
        if has_failed():
            errors = [error for error in errors if not getattr(error, "secondary", False)]
        if errors:
            raise errors[0]

    @contextlib.contextmanager
    def scope(self, name: str, isolation: Isolation) -> Iterator[None]:
        """Make data for all tests of the module or class ``name``, undone after the last of them.

        With ``isolation="database"`` the data is committed, and what its tests get are clones of the
        database with it. Their own isolation may then be either.
        """
        if isolation == "rollback":
            with self.test(name, "rollback", reset_sequences=self.config.reset_sequences == "on"):
                yield
            return
        self._restored()
        self._keep()
        restart = self._restart
        self._level += 1
        self.note_change()
        try:
            yield
        finally:
            self._restored()
            level, self._level = self._level, self._level - 1
            self._changed = False
            self._restart = restart
            self._restore(lambda: self.provider.forget(self.name, level))
            self.engines.real.end()
            self.engines.isolation = "database" if self._level else None

    def note_change(self) -> None:
        """A fixture of wider scope than a test is about to be set up: its data belongs to the scope."""
        if self._level and self.engines.rollback.test is None:
            self._restored()
            self._changed = True
            self.engines.isolation = "database"

    def _keep(self) -> None:
        """Have the tests of the scope begin with what its fixtures have made."""
        if self._changed:
            self._changed = False
            self.engines.real.end()
            self.provider.keep(self.name, self._level)
            self.engines.generation += 1
            self._restart = self._ask(restart_of)
            self._used = False

    def _make_ready(self, restart: Restart | None) -> None:
        """See that a test with real commits has its clone, and the next one soon."""
        if not self._stocked:
            self.provider.stock(self.name)
            self._stocked = True
        if restart is not None and self._used:
            self._ask(lambda connection: connection.execute(restart.alone))

    def _finish(self, isolation: Isolation) -> list[HarnessError]:
        engines = self.engines
        if isolation == "database":
            engines.isolation = None
            self._restore(lambda: self.provider.restore(self.name))
            engines.real.end()
            return []
        errors = engines.rollback.finish()
        engines.isolation = "rollback" if engines.rollback.test is not None else None
        if any(isinstance(error, IsolationError) and error.leaked_rows for error in errors):
            self._restore(lambda: self.provider.restore(self.name))
        return errors

    def _restore(self, replace: Callable[[], None]) -> None:
        """Begin to put a fresh clone in the place of the database; pytest goes on meanwhile."""
        self.engines.rollback.disconnect()
        self._restoring = self._restorer.submit(replace)
        self.engines.generation += 1
        self._used = False

    def _restored(self) -> None:
        """Wait until the database is the fresh clone.

        Raises:
            HarnessError: It could not be replaced.
        """
        restoring, self._restoring = self._restoring, None
        if restoring is not None:
            restoring.result()

    def close(self) -> None:
        self._restorer.shutdown()
        self.engines.remove()
        self.engines.rollback.close()
