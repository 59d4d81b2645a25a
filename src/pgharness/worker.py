"""One worker process and its database: what begins and ends each test that asks for it."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import asyncpg

from pgharness.background import background
from pgharness.config import Config
from pgharness.errors import HarnessError, IsolationError
from pgharness.isolation.engines import Engines, Isolation
from pgharness.isolation.link import Target
from pgharness.isolation.rollback import Rollback
from pgharness.run import Provider, WorkerDatabase

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
        self.engines = Engines(Rollback(self._with_schema(target)))
        self.engines.install()

    def _with_schema(self, target: Target) -> Target:
        """``target`` with what isolation has to know of the schema."""

        async def read() -> Target:
            connection = await asyncpg.connect(
                host=target.host,
                port=target.port,
                user=target.user,
                password=target.password,
                database=target.database,
                ssl=None if target.tls else False,
            )
            try:
                return dataclasses.replace(
                    target,
                    writers=frozenset(row[0] for row in await connection.fetch(_WRITERS)),
                    deferrable=await connection.fetchval(_DEFERRABLE),
                )
            finally:
                await connection.close()

        return background.run(read(), timeout=self.config.start_timeout)

    @contextlib.contextmanager
    def test(
        self, test_id: str, isolation: Isolation, *, has_failed: Callable[[], bool] = lambda: False
    ) -> Iterator[None]:
        """Isolate one test; raises at its end what the test must not have done.

        Where the test ``has_failed`` already, what may be a mere consequence of that is not raised.
        """
        engines, rollback = self.engines, self.engines.rollback
        engines.outsider = ""
        if isolation == "rollback":
            rollback.start(test_id)
        elif rollback.test is not None:
            raise IsolationError.scope_and_database(test_id, rollback.test.id)
        elif not self._stocked:
            self.provider.stock(self.name)
            self._stocked = True
        engines.isolation = isolation
        try:
            yield
        finally:
            errors = self._finish(isolation)
        if has_failed():
            errors = [error for error in errors if not getattr(error, "secondary", False)]
        if errors:
            raise errors[0]

    @contextlib.contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Make data for all tests of the module or class ``name``, undone after the last of them."""
        with self.test(name, "rollback"):
            yield

    def _finish(self, isolation: Isolation) -> list[HarnessError]:
        engines = self.engines
        if isolation == "database":
            engines.isolation = None
            engines.real.end()
            self._restore()
            return []
        errors = engines.rollback.finish()
        engines.isolation = "rollback" if engines.rollback.test is not None else None
        if any(isinstance(error, IsolationError) and error.leaked_rows for error in errors):
            self._restore()
        return errors

    def _restore(self) -> None:
        self.engines.rollback.disconnect()
        self.provider.restore(self.name)
        self.engines.generation += 1

    def close(self) -> None:
        self.engines.remove()
        self.engines.rollback.close()
