"""Joining psycopg 3: virtual connections over one libpq connection.

psycopg's synchronous and asynchronous connections are two faces of the same `PGconn`, and both
do their work in generators; so one libpq connection serves both, from any thread and any loop.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Generator, Mapping
from typing import Any

import psycopg
from psycopg import generators, pq

from pgharness.errors import IsolationError
from pgharness.isolation import foreign
from pgharness.isolation.commands import CHECK, CHECK_CONSTRAINTS, DEFAULT, HOLDERS, LOCKS, UNLOCK
from pgharness.isolation.link import LinkState
from pgharness.isolation.origin import origin
from pgharness.isolation.running import Test
from pgharness.isolation.statements import Statement
from pgharness.isolation.target import Target
from pgharness.isolation.transaction import Transaction

_END_MILLISECONDS = 5000
_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.BAD_RESPONSE)


class SharedLock:
    """A lock that threads and event loops share, so that a statement is sent after the other.

    Args:
        seconds: How long to wait for it.
        on_timeout: Yields the error to raise then.
    """

    def __init__(self, seconds: float, on_timeout: Any) -> None:
        self._lock = threading.Lock()
        self._seconds = seconds
        self._on_timeout = on_timeout

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=self._seconds):
            raise self._on_timeout()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    async def __aenter__(self) -> None:
        deadline = time.monotonic() + self._seconds
        while not self._lock.acquire(blocking=False):
            if time.monotonic() > deadline:
                raise self._on_timeout()
            await asyncio.sleep(0.0005)

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


class PsycopgLink:
    """One libpq connection, and the lock that keeps its statements in order."""

    driver = "psycopg"

    def __init__(self, target: Target) -> None:
        self.state = LinkState(target)
        self.lock = self._new_lock()
        self.single: Transaction | None = None
        """The statement of an autocommit connection that has not been committed yet."""
        self._real: psycopg.Connection[Any] | None = None

    def _new_lock(self) -> SharedLock:
        return SharedLock(self.state.target.lock_timeout, lambda: self.state.busy(origin()))

    # -- the test -----------------------------------------------------------------------------

    def start(self, test: Test) -> None:
        self.state.enter(test)
        self.single = None
        self.lock = self._new_lock()  # the lock of a test that was cut off may still be held

    def finish(self) -> list[IsolationError]:
        try:
            return self._finish(self._real) if self._real is not None and not self._real.closed else []
        except psycopg.Error:  # a connection in an unknown state is not used again
            self.close()
            return []
        finally:
            if self._real is None or self._real.closed:
                self.close()
            self.state.leave()

    def _finish(self, real: psycopg.Connection[Any]) -> list[IsolationError]:
        state = self.state
        self.note_failure()
        self.end_single()
        errors = [error for error in (state.left_open(),) if error]
        if state.begun:
            errors += self._end(real)
        if state.locked_at and (row := real.execute(LOCKS).fetchone()) and row[0]:
            errors.append(IsolationError.advisory_lock(state.stack.test, state.locked_at))
            real.execute(UNLOCK, prepare=False)
        if state.schema_changed:
            self.prepared.clear()
            real.execute("DEALLOCATE ALL", prepare=False)  # and what clear() left to be done after it
        return errors

    def _end(self, real: psycopg.Connection[Any]) -> list[IsolationError]:
        try:
            real.execute(self.state.end, prepare=False)
        except (psycopg.errors.InvalidSavepointSpecification, psycopg.errors.NoActiveSqlTransaction):
            real.execute("ROLLBACK", prepare=False)
            self.state.lose()
            return [IsolationError.leaked(self.state.stack.test, *self.state.ended_by)]
        return []

    def close(self) -> None:
        real, self._real = self._real, None
        if real is not None:
            real.close()
            self.state.lose()

    # -- the physical connection --------------------------------------------------------------------

    def connection(self) -> psycopg.Connection[Any]:
        """The physical connection, opened when first asked for."""
        if self._real is None:
            self._real = self._connect()
        elif self._real.closed:
            raise IsolationError.connection_lost(self.state.stack.test)
        return self._real

    def _connect(self) -> psycopg.Connection[Any]:
        target = self.state.target
        with foreign.own():
            return psycopg.connect(
                host=target.host,
                port=target.port,
                user=target.user,
                password=target.password,
                dbname=target.database,
                autocommit=True,
                options=f"-c lock_timeout={int(target.lock_timeout * 1000)}ms",
            )

    def locked(self) -> IsolationError:
        """What to raise if PostgreSQL has waited for a lock in vain."""
        query = HOLDERS.format(pid=self.connection().info.backend_pid)
        with self._connect() as connection:
            return self.state.locked([row[0] for row in connection.execute(query).fetchall()])

    @property
    def prepared(self) -> Any:
        """The prepared statements of the libpq connection, by the names they have on the server."""
        return self.connection()._prepared

    def know_defaults(self, settings: Mapping[str, str]) -> None:
        """Learn the server's values of the parameters in ``settings``."""
        for name in settings:
            if name not in self.state.defaults:
                self.state.defaults[name] = self._value(DEFAULT.format("%s"), name)

    def setting(self, name: str) -> str:
        """The value of the parameter ``name`` at this moment."""
        return self._value("SELECT current_setting(%s, true)", name)

    def _value(self, query: str, name: str) -> str:
        row = self.connection().execute(query, (name,)).fetchone()
        return str((row and row[0]) or "")

    # -- generators, run while the lock is held ---------------------------------------------------------

    def note_failure(self) -> None:
        """Lay a failed transaction at the door of whoever ran the last statement."""
        state, real = self.state, self._real
        if real is None or real.closed:
            return  # the next statement says so
        failed = real.info.transaction_status == pq.TransactionStatus.INERROR
        noted = state.stack.aborted or state.stack.pending  # what is pending ends the failed state
        if failed and not noted and state.stack.savepoints:
            state.failed(state.stack.savepoints[-1].owner)

    def check_constraints(self, transaction: Transaction) -> Generator[Any, Any, None]:
        """Check what a commit of ``transaction`` would; it has failed if this raises."""
        if not self.state.must_check(transaction):
            return
        try:
            yield from self.begin_statement(transaction, CHECK, "")
            yield from self.send(CHECK_CONSTRAINTS, control=False)
        except psycopg.Error as error:
            self.note_failure()
            raise self.state.violated(transaction, error) from None

    def end_single(self) -> None:
        """Commit the last statement of an autocommit connection, or undo it if it failed."""
        single, self.single = self.single, None
        if single is not None:
            self.state.commit(single)

    def begin_statement(
        self, transaction: Transaction, statement: Statement, setting: str
    ) -> Generator[Any, Any, None]:
        """Send what must precede ``statement`` of ``transaction``."""
        if transaction.failed:
            raise psycopg.errors.InFailedSqlTransaction(
                "current transaction is aborted, commands ignored until end of transaction block"
            )
        yield from self.send(self.state.before(transaction, statement, setting))

    def send(self, sql: str, *, control: bool = True) -> Generator[Any, Any, None]:
        """Send ``sql`` as one simple query and wait for it; ``control`` if it opens or ends savepoints."""
        if not sql:
            return
        pgconn = self.connection().pgconn
        pgconn.send_query(sql.encode())
        try:
            results = yield from generators.execute(pgconn)
        except BaseException:
            self.state.interrupt()
            raise
        for result in results:
            if result.status in _FAILED:
                if control:
                    self.state.interrupt()
                raise psycopg.errors.error_from_result(result)
