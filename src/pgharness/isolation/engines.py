"""Where SQLAlchemy asks for a driver connection: listeners on every engine and every pool.

The listeners are on the classes, so they hold for engines made before and after, by anybody. They
look only at connections to the worker's own database; everything else passes untouched.
"""

from __future__ import annotations

from typing import Any, Literal

from sqlalchemy import Connection, Engine, ExceptionContext, event, exc
from sqlalchemy.pool import Pool

from pgharness.errors import IsolationError
from pgharness.isolation import clock, tasks
from pgharness.isolation.origin import origin
from pgharness.isolation.real import RealConnections
from pgharness.isolation.rollback import Rollback
from pgharness.isolation.savepoint import set_settings
from pgharness.schema.clock import SETTING

Isolation = Literal["rollback", "database"]


class Engines:
    """Sends each engine's connections where the running test's isolation wants them.

    Args:
        rollback: Yields the virtual connections.
    """

    def __init__(self, rollback: Rollback) -> None:
        self.rollback = rollback
        self.database = rollback.target.database
        self.isolation: Isolation | None = None
        """That of the running test; None while no test runs that asked for the database."""
        self.test = ""
        """The running test, if it has asked for the database."""
        self.outsider = ""
        """The running test, if it has not asked for the database."""
        self.generation = 0
        """Counts the databases that have stood under the worker's name."""
        self.real = RealConnections(rollback.target)
        self.drivers: list[str] = []
        """The drivers that have connected, in order."""
        self._key = f"pgharness {self.database}"
        self._installed = False

    def install(self) -> None:
        if not self._installed:
            event.listen(Engine, "do_connect", self._do_connect)
            event.listen(Pool, "connect", self._connected)
            event.listen(Pool, "checkout", self._checkout)
            event.listen(Engine, "handle_error", self._failed)
            if self.rollback.target.clock:
                event.listen(Engine, "begin", self._begun)
            self._installed = True

    def remove(self) -> None:
        if self._installed:
            event.remove(Engine, "do_connect", self._do_connect)
            event.remove(Pool, "connect", self._connected)
            event.remove(Pool, "checkout", self._checkout)
            event.remove(Engine, "handle_error", self._failed)
            if self.rollback.target.clock:
                event.remove(Engine, "begin", self._begun)
            self._installed = False

    def _do_connect(self, dialect: Any, record: Any, cargs: list[Any], cparams: dict[str, Any]) -> Any:
        if not self._is_ours(cargs, cparams):
            return None
        if dialect.driver not in self.drivers:
            self.drivers.append(dialect.driver)
        if self.isolation == "database":
            self._check_task()
            return None
        if self.isolation is None or self.outsider:
            raise IsolationError.outside_test(origin(), self.outsider)
        joined = self.rollback.join(
            dialect.driver, is_async=dialect.is_async, options=cparams, user=cparams.get("user")
        )
        if record is not None:
            record.info[self._key] = "virtual"
        return joined

    def _check_task(self) -> None:
        """A task of an earlier test must not use the clone of this one; `Rollback` sees to the others."""
        task = tasks.current()
        if task is not None:
            self.rollback.outlived.check(self.test, task)

    def _is_ours(self, cargs: list[Any], cparams: dict[str, Any]) -> bool:
        name = cparams.get("database") or cparams.get("dbname")
        if name is not None:
            return bool(name == self.database)
        return any(isinstance(arg, str) and self.database in arg for arg in cargs)

    def _connected(self, connection: Any, record: Any) -> None:
        if record.info.get(self._key) == "virtual" or not self._is_real_to_ours(connection):
            return
        if self.isolation == "database":
            record.info[self._key] = self.generation
            self.real.add(connection)
        elif self.isolation == "rollback":
            test = self.rollback.test
            raise IsolationError.own_creator(test.id if test else "", origin())

    def _is_real_to_ours(self, connection: Any) -> bool:
        driver = getattr(connection, "driver_connection", connection)
        for path in (("_params", "database"), ("info", "dbname")):  # asyncpg; psycopg 2 and 3
            found: Any = driver
            for name in path:
                found = getattr(found, name, None)
            if found is not None:
                return bool(found == self.database)
        return False

    def _begun(self, connection: Connection) -> None:
        """Tell a transaction on a real connection what time it is; a virtual one is told by its link."""
        if self.isolation == "database" and connection.info.get(self._key) == self.generation:
            connection.exec_driver_sql(set_settings({SETTING: clock.now()}))

    def _failed(self, context: ExceptionContext) -> None:
        """Name both sides where a real connection has waited for a lock in vain."""
        connection, error = context.connection, context.sqlalchemy_exception
        if self.isolation != "database" or connection is None or error is None or connection.closed:
            return
        if connection.info.get(self._key) == self.generation:
            driver = connection.connection.driver_connection
            self.real.explain(self.test, driver, context.statement or "", error)

    def _checkout(self, connection: Any, record: Any, _proxy: Any) -> None:
        """Refuse to hand out what a pool has kept from a test of another isolation."""
        kept = record.info.get(self._key)
        if kept is None:
            return
        wanted: object = "virtual" if self.isolation == "rollback" else self.generation
        if self.isolation is None or self.outsider:
            raise IsolationError.outside_test(origin(), self.outsider)
        if kept != wanted:
            raise exc.InvalidatePoolError
        if kept != "virtual":
            self._check_task()
            self.real.taken(connection)
        else:
            virtual = getattr(connection, "driver_connection", connection)
            virtual.settings.made(virtual._transaction)  # noqa: SLF001 - our own class
