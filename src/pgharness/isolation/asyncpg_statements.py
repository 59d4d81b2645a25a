"""asyncpg's transactions, prepared statements and cursors, on a virtual connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import asyncpg

from pgharness.isolation.statements import Statement, classify

if TYPE_CHECKING:
    from pgharness.isolation.asyncpg_virtual import VirtualConnection

T = TypeVar("T")
_FETCH = Statement("plain", writes=False)


class VirtualTransaction:
    """An `asyncpg.transaction.Transaction`: the outermost is the connection's, inner ones savepoints."""

    def __init__(self, connection: VirtualConnection, isolation: str | None, readonly: bool) -> None:
        self._connection = connection
        self._isolation = isolation
        self._readonly = readonly
        self._label = ""

    async def start(self) -> None:
        connection = self._connection
        if connection._transaction is None:
            connection._begin(self._isolation, self._readonly)
            return
        connection._depth += 1
        self._label = f"asyncpg_{connection._depth}"
        await connection.execute(f"SAVEPOINT {self._label}")

    async def commit(self) -> None:
        if not self._label:
            await self._connection._commit()
            return
        self._connection._depth -= 1
        await self._connection.execute(f"RELEASE SAVEPOINT {self._label}")

    async def rollback(self) -> None:
        if not self._label:
            self._connection._end(commit=False)
            return
        self._connection._depth -= 1
        await self._connection.execute(f"ROLLBACK TO SAVEPOINT {self._label}")

    async def __aenter__(self) -> VirtualTransaction:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        if kind is None:
            await self.commit()
        else:
            await self.rollback()


class VirtualPrepared:
    """An `asyncpg.prepared_stmt.PreparedStatement`, prepared where the running test needs it."""

    def __init__(self, connection: VirtualConnection, query: str, record_class: type | None) -> None:
        self._connection = connection
        self._query = query
        self._record_class = record_class
        self._attributes: tuple[Any, ...] = ()
        self._parameters: tuple[Any, ...] = ()
        self._status: str | None = None

    async def _describe(self) -> None:
        if classify(self._query).kind != "plain":
            return

        async def describe(_: asyncpg.Connection[Any], prepared: Any) -> None:
            self._attributes, self._parameters = prepared.get_attributes(), prepared.get_parameters()

        await self._use((), describe, _FETCH)

    async def _use(
        self,
        args: Iterable[Any],
        call: Callable[[asyncpg.Connection[Any], Any], Awaitable[T]],
        statement: Statement | None = None,
    ) -> T | None:
        link = self._connection._current_link()

        async def use(connection: asyncpg.Connection[Any]) -> T:
            prepared = await link.prepared(connection, self._query, self._record_class)
            result = await call(connection, prepared)
            self._status = prepared.get_statusmsg()
            return result

        # Kept if the statement is answered without the server: SAVEPOINT and the like.
        self._status = self._query.split(maxsplit=1)[0].upper()
        return await self._connection._run(self._query, args, use, statement)

    async def fetch(self, *args: Any, timeout: float | None = None) -> list[Any]:
        rows = await self._use(args, lambda _, p: p.fetch(*args, timeout=timeout))
        return rows if rows is not None else []

    async def fetchrow(self, *args: Any, timeout: float | None = None) -> Any:
        return await self._use(args, lambda _, p: p.fetchrow(*args, timeout=timeout))

    async def fetchval(self, *args: Any, column: int = 0, timeout: float | None = None) -> Any:
        return await self._use(args, lambda _, p: p.fetchval(*args, column=column, timeout=timeout))

    async def executemany(self, args: Iterable[Any], *, timeout: float | None = None) -> None:
        await self._use((), lambda _, p: p.executemany(args, timeout=timeout))

    async def explain(self, *args: Any, analyze: bool = False) -> Any:
        return await self._use(args, lambda _, p: p.explain(*args, analyze=analyze))

    def cursor(self, *args: Any, prefetch: int | None = None, timeout: float | None = None) -> VirtualCursor:
        return VirtualCursor(self, args, prefetch, timeout)

    def get_attributes(self) -> tuple[Any, ...]:
        return self._attributes

    def get_parameters(self) -> tuple[Any, ...]:
        return self._parameters

    def get_query(self) -> str:
        return self._query

    def get_name(self) -> str:
        return ""

    def get_statusmsg(self) -> str | None:
        return self._status


class VirtualCursor:
    """An asyncpg cursor, awaited for its object or iterated over, as asyncpg's ``CursorFactory``."""

    def __init__(
        self, prepared: VirtualPrepared, args: tuple[Any, ...], prefetch: int | None, timeout: float | None
    ) -> None:
        self._prepared = prepared
        self._args = args
        self._prefetch = prefetch or 50
        self._timeout = timeout
        self._cursor: Any = None

    def __await__(self) -> Generator[Any, None, VirtualCursor]:
        return self._open().__await__()

    async def _open(self) -> VirtualCursor:
        if not self._prepared._connection.is_in_transaction():
            raise asyncpg.NoActiveSQLTransactionError("cursor cannot be created outside of a transaction")

        async def open_(_: asyncpg.Connection[Any], prepared: Any) -> Any:
            return await prepared.cursor(*self._args, timeout=self._timeout)

        self._cursor = await self._prepared._use(self._args, open_)
        return self

    async def _step(self, call: Callable[[Any], Awaitable[T]]) -> T:
        connection = self._prepared._connection
        return await connection._run("FETCH", (), lambda _: call(self._cursor), _FETCH)  # type: ignore[return-value]  # None is for empty statements

    async def fetch(self, n: int, *, timeout: float | None = None) -> list[Any]:
        return await self._step(lambda cursor: cursor.fetch(n, timeout=timeout))

    async def fetchrow(self, *, timeout: float | None = None) -> Any:
        return await self._step(lambda cursor: cursor.fetchrow(timeout=timeout))

    async def forward(self, n: int, *, timeout: float | None = None) -> int:
        return await self._step(lambda cursor: cursor.forward(n, timeout=timeout))

    async def __aiter__(self) -> AsyncIterator[Any]:
        await self._open()
        while rows := await self.fetch(self._prefetch):
            for row in rows:
                yield row
