"""Joining asyncpg: virtual connections over one physical connection.

The physical connection belongs to one event loop. Virtual connections answer on any: called on
another loop, they run the call on the physical connection's own and wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import asyncpg

from pgharness.errors import IsolationError
from pgharness.isolation.commands import DEFAULT, HOLDERS, LOCKS, UNLOCK
from pgharness.isolation.foreign import connect_unwatched
from pgharness.isolation.link import LinkState
from pgharness.isolation.running import Test
from pgharness.isolation.statements import Statement
from pgharness.isolation.target import Target
from pgharness.isolation.transaction import Transaction
from pgharness.server.background import background

T = TypeVar("T")
_END_SECONDS = 5.0
_PREPARED = 512


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """A plain statement; ``setting`` is the parameter that it sets until its transaction ends."""

    statement: Statement
    text: str
    setting: str = ""


class _Turn:
    """One session's turn on a link: waits for those of the others, and not for ever."""

    def __init__(self, lock: asyncio.Lock, state: LinkState, where: str) -> None:
        self._lock = lock
        self._state = state
        self._where = where

    async def __aenter__(self) -> None:
        if not self._lock.locked():
            await self._lock.acquire()
            return
        try:
            async with asyncio.timeout(self._state.target.lock_timeout):
                await self._lock.acquire()
        except TimeoutError:
            raise self._state.busy(self._where) from None

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()


class AsyncpgLink:
    """One asyncpg connection on one event loop, and the lock that keeps its statements in order."""

    driver = "asyncpg"

    def __init__(self, target: Target, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.state = LinkState(target)
        self.connection: asyncpg.Connection[Any] | None = None
        self.codecs: dict[tuple[str, str], object] = {}
        self._lock: asyncio.Lock | None = None
        self._prepared: OrderedDict[tuple[str, type | None, str | None], Any] = OrderedDict()

    # -- the test -----------------------------------------------------------------------------

    def start(self, test: Test) -> None:
        self.state.enter(test)
        self._lock = None  # the lock of a test that was cut off may still be held

    def finish(self) -> list[IsolationError]:
        try:
            if self.connection is not None and not self.loop.is_closed():
                return self._on_loop(self._finish(self.connection))
            self._forget()
        except Exception:  # noqa: BLE001 - a connection in an unknown state is not used again
            self.close()
        finally:
            self.state.leave()
        return []

    async def _finish(self, connection: asyncpg.Connection[Any]) -> list[IsolationError]:
        state = self.state
        if connection.is_closed():
            self._forget()
            return []
        errors = [error for error in (state.left_open(),) if error]
        if state.begun:
            try:
                await connection.execute(state.end, timeout=_END_SECONDS)
            except asyncpg.PostgresError:
                errors.append(IsolationError.leaked(state.stack.test, *state.ended_by))
                await connection.execute("ROLLBACK", timeout=_END_SECONDS)
                state.lose()
        if state.locked_at and await connection.fetchval(LOCKS):
            errors.append(IsolationError.advisory_lock(state.stack.test, state.locked_at))
            await connection.execute(UNLOCK)
        if state.schema_changed:
            self._prepared.clear()
            await connection.reload_schema_state()
        return errors

    def close(self) -> None:
        connection = self.connection
        if connection is None:
            return
        if not self.loop.is_closed():
            try:
                self._on_loop(_close(connection))
            except Exception:  # noqa: BLE001 - closing is best effort; the server sees the socket go
                connection.terminate()
        self._forget()

    def _forget(self) -> None:
        if self.connection is not None and self.loop.is_closed():
            _abandon(self.connection)
        self.connection = None
        self.state.lose()
        self.codecs.clear()
        self._prepared.clear()

    def _on_loop(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` on the link's loop from synchronous code."""
        if self.loop.is_running():
            return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(_END_SECONDS * 2)
        return self.loop.run_until_complete(coroutine)

    # -- statements ---------------------------------------------------------------------------

    async def reach(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run ``call`` on the link's loop, whichever loop this is."""
        if asyncio.get_running_loop() is self.loop:
            return await call()
        if self.loop is not background.loop and not self.loop.is_running():
            raise self._two_loops()
        future = asyncio.run_coroutine_threadsafe(call(), self.loop)
        if self.loop is background.loop:
            return await asyncio.wrap_future(future)
        try:  # the other loop may be waiting for us: never a hang
            return await asyncio.wait_for(asyncio.wrap_future(future), self.state.target.lock_timeout)
        except TimeoutError:
            raise self._two_loops() from None

    def _two_loops(self) -> IsolationError:
        test = self.state.test
        return IsolationError.two_loops(test.id if test else "")

    def lock(self, where: str = "") -> _Turn:
        """The link's lock, for ``async with``; ``where`` names the session that wants it, for messages."""
        if self._lock is None:
            self._lock = asyncio.Lock()
        return _Turn(self._lock, self.state, where)

    async def ready(self) -> asyncpg.Connection[Any]:
        """The physical connection, opened when first asked for."""
        if self.connection is None:
            self.connection = await self._connect()
        elif self.connection.is_closed():
            raise IsolationError.connection_lost(self.state.stack.test)
        return self.connection

    async def _connect(self) -> asyncpg.Connection[Any]:
        target = self.state.target
        connection = await connect_unwatched(
            target,
            statement_cache_size=_PREPARED,
            server_settings={"lock_timeout": f"{int(target.lock_timeout * 1000)}ms"},
        )
        # Before 0.32, asyncpg opens a cursor only in a transaction that it believes it began itself.
        connection._top_xact = connection.transaction()  # type: ignore[attr-defined]  # private, in no stub
        return connection

    async def run(
        self,
        transaction: Transaction,
        sent: Sent,
        call: Callable[[asyncpg.Connection[Any]], Awaitable[T]],
    ) -> T:
        """Run ``call``, a plain statement of ``transaction``, in its savepoint."""
        async with self.lock(transaction.origin):
            connection = await self.ready()
            if transaction.failed:
                raise asyncpg.InFailedSQLTransactionError(
                    "current transaction is aborted, commands ignored until end of transaction block"
                )
            await self._send(connection, self.state.before(transaction, sent.statement, sent.setting))
            self.state.running = (sent.text, transaction.origin)
            try:
                result = await call(connection)
            except BaseException as error:
                if _aborts(error):
                    self.state.failed(transaction)
                if isinstance(error, asyncpg.LockNotAvailableError) and self.state.waited_in_vain(
                    transaction, str(error)
                ):
                    raise self.state.locked(await self._holders(connection.get_server_pid())) from error
                raise
            if sent.statement.changes_schema:
                self._prepared.clear()
            return result

    async def _holders(self, pid: int) -> list[str]:
        """The other transactions in the database, as a second connection sees them."""
        connection = await self._connect()
        try:
            return [row[0] for row in await connection.fetch(HOLDERS.format(pid=pid))]
        finally:
            await connection.close(timeout=_END_SECONDS)

    async def control(self, transaction: Transaction, statement: Statement) -> None:
        """Run SAVEPOINT, RELEASE or ROLLBACK TO of the application."""
        async with self.lock(transaction.origin):
            connection = await self.ready()
            if transaction.failed and statement.kind != "rollback to":
                raise asyncpg.InFailedSQLTransactionError(
                    "current transaction is aborted, commands ignored until end of transaction block"
                )
            sql = self.state.control(transaction, statement)
            if sql is None:
                raise asyncpg.InvalidSavepointSpecificationError(
                    f'savepoint "{statement.name}" does not exist'
                )
            await self._send(connection, sql)

    async def _send(self, connection: asyncpg.Connection[Any], sql: str) -> None:
        if not sql:
            return
        try:
            await connection.execute(sql)
        except BaseException:
            self.state.interrupt()
            raise

    async def prepared(
        self, connection: asyncpg.Connection[Any], query: str, record_class: type | None
    ) -> Any:
        """The prepared statement of ``query``, shared by all virtual connections of one search_path."""
        key = (query, record_class, self.state.stack.setting("search_path"))
        found = self._prepared.get(key)
        if found is None:
            found = self._prepared[key] = await connection.prepare(query, record_class=record_class)
            if len(self._prepared) > _PREPARED:
                self._prepared.popitem(last=False)
        else:
            self._prepared.move_to_end(key)
        return found

    async def know_defaults(self, settings: Mapping[str, str]) -> None:
        """Learn the server's values of the parameters in ``settings``."""
        unknown = [name for name in settings if name not in self.state.defaults]
        if unknown:
            async with self.lock():
                connection = await self.ready()
                for name in unknown:
                    self.state.defaults[name] = await connection.fetchval(DEFAULT.format("$1"), name) or ""


def _aborts(error: BaseException) -> bool:
    """Whether the server's transaction is, or may be, in the failed state after ``error``."""
    if isinstance(error, asyncpg.PostgresError):
        return getattr(error, "severity", None) is not None  # None: raised by asyncpg, never sent
    return isinstance(error, asyncio.CancelledError | TimeoutError)


async def _close(connection: asyncpg.Connection[Any]) -> None:
    await connection.close(timeout=_END_SECONDS)


def _abandon(connection: asyncpg.Connection[Any]) -> None:
    """Close the socket of a connection whose loop is closed, which no method of it does."""
    transport: Any = connection._transport  # type: ignore[attr-defined]  # not in the stubs
    with contextlib.suppress(Exception):
        transport.abort()  # ends by asking the loop
    with contextlib.suppress(Exception):
        transport._call_connection_lost(None)
