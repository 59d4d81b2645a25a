"""What a joined asyncpg engine holds: `asyncpg.Connection` as the application knows it.

A virtual connection is bound to no event loop and to no test: between two transactions it holds
nothing, so an application's pool may keep it as long as it likes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NoReturn, TypeVar

import asyncpg

from pgharness.errors import IsolationError
from pgharness.isolation.asyncpg_statements import VirtualCursor, VirtualPrepared, VirtualTransaction
from pgharness.isolation.asyncpg_transactions import VirtualTransactions
from pgharness.isolation.origin import origin
from pgharness.isolation.statements import Statement

T = TypeVar("T")
_COPY = Statement("plain", writes=True)
_FETCH = Statement("plain", writes=False)


class VirtualConnection(VirtualTransactions):
    """An `asyncpg.Connection` that has joined the test's transaction."""

    def transaction(
        self, *, isolation: str | None = None, readonly: bool = False, deferrable: bool = False
    ) -> VirtualTransaction:
        return VirtualTransaction(self, isolation, readonly)

    def is_in_transaction(self) -> bool:
        return self._transaction is not None

    # -- statements -------------------------------------------------------------------------------

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:
        status = await self._run(query, args, lambda c: c.execute(query, *args, timeout=timeout))
        return status if status is not None else query.strip().split(" ")[0].rstrip(";").upper()

    async def executemany(self, command: str, args: Iterable[Any], *, timeout: float | None = None) -> None:
        await self._run(command, (), lambda c: c.executemany(command, args, timeout=timeout))

    async def fetch(
        self, query: str, *args: Any, timeout: float | None = None, record_class: type | None = None
    ) -> list[Any]:
        options = self._options(record_class)
        rows = await self._run(query, args, lambda c: c.fetch(query, *args, timeout=timeout, **options))
        return rows if rows is not None else []

    async def fetchrow(
        self, query: str, *args: Any, timeout: float | None = None, record_class: type | None = None
    ) -> Any:
        options = self._options(record_class)
        return await self._run(query, args, lambda c: c.fetchrow(query, *args, timeout=timeout, **options))

    async def fetchval(self, query: str, *args: Any, column: int = 0, timeout: float | None = None) -> Any:
        return await self._run(
            query, args, lambda c: c.fetchval(query, *args, column=column, timeout=timeout)
        )

    def _options(self, record_class: type | None) -> dict[str, Any]:
        wanted = record_class or self._record_class
        return {"record_class": wanted} if wanted else {}

    async def prepare(
        self,
        query: str,
        *,
        name: str | None = None,
        timeout: float | None = None,
        record_class: type | None = None,
    ) -> VirtualPrepared:
        prepared = VirtualPrepared(self, query, record_class or self._record_class)
        await prepared._describe()
        return prepared

    def cursor(
        self,
        query: str,
        *args: Any,
        prefetch: int | None = None,
        timeout: float | None = None,
        record_class: type | None = None,
    ) -> VirtualCursor:
        return VirtualCursor(
            VirtualPrepared(self, query, record_class or self._record_class), args, prefetch, timeout
        )

    # -- copy ---------------------------------------------------------------------------------------

    async def copy_from_table(self, table_name: str, **options: Any) -> Any:
        return await self._run("COPY", (), lambda c: c.copy_from_table(table_name, **options), _FETCH)

    async def copy_from_query(self, query: str, *args: Any, **options: Any) -> Any:
        return await self._run(query, (), lambda c: c.copy_from_query(query, *args, **options), _COPY)

    async def copy_to_table(self, table_name: str, **options: Any) -> Any:
        return await self._run("COPY", (), lambda c: c.copy_to_table(table_name, **options), _COPY)

    async def copy_records_to_table(self, table_name: str, **options: Any) -> Any:
        return await self._run("COPY", (), lambda c: c.copy_records_to_table(table_name, **options), _COPY)

    # -- types and state ------------------------------------------------------------------------------

    async def set_type_codec(self, typename: str, *, schema: str = "public", **options: Any) -> None:
        """As asyncpg's; codecs belong to the physical connection, so the same one is set once."""
        link = self._current_link()

        async def set_once() -> None:
            async with link.lock():
                connection = await link.ready()
                if link.codecs.get((schema, typename)) != options:
                    await connection.set_type_codec(typename, schema=schema, **options)
                    link.codecs[schema, typename] = options

        await link.reach(set_once)

    async def _on_physical(self, call: Callable[[asyncpg.Connection[Any]], Awaitable[T]]) -> T:
        link = self._current_link()

        async def locked() -> T:
            async with link.lock():
                return await call(await link.ready())

        return await link.reach(locked)

    async def reset_type_codec(self, typename: str, *, schema: str = "public") -> None:
        self._current_link().codecs.pop((schema, typename), None)
        await self._on_physical(lambda c: c.reset_type_codec(typename, schema=schema))

    async def set_builtin_type_codec(self, typename: str, **options: Any) -> None:
        await self._on_physical(lambda c: c.set_builtin_type_codec(typename, **options))

    async def reload_schema_state(self) -> None:
        await self._on_physical(lambda c: c.reload_schema_state())

    def _physical(self) -> asyncpg.Connection[Any]:
        connection = self._current_link().connection
        if connection is None:
            raise asyncpg.InterfaceError("the connection is not open yet")
        return connection

    def get_server_pid(self) -> int:
        return self._physical().get_server_pid()

    def get_server_version(self) -> Any:
        return self._physical().get_server_version()

    def get_settings(self) -> Any:
        return self._physical().get_settings()

    def get_reset_query(self) -> str:
        return ""

    def is_closed(self) -> bool:
        return self._closed

    async def reset(self, *, timeout: float | None = None) -> None:
        self._end(commit=False)

    async def close(self, *, timeout: float | None = None) -> None:
        self.terminate()

    def terminate(self) -> None:
        self._end(commit=False)
        self._closed = True

    def add_log_listener(self, callback: Any) -> None:
        self._physical().add_log_listener(callback)

    def remove_log_listener(self, callback: Any) -> None:
        self._physical().remove_log_listener(callback)

    def add_termination_listener(self, callback: Any) -> None:
        """Accepted and never called: a virtual connection is not terminated by the server."""

    def remove_termination_listener(self, callback: Any) -> None:
        """See `add_termination_listener`."""

    async def add_listener(self, channel: str, callback: Any) -> NoReturn:
        raise IsolationError.raw_control(self._current_link().state.stack.test, f"LISTEN {channel}", origin())

    async def remove_listener(self, channel: str, callback: Any) -> None:
        """Nothing can have been added."""

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_") or not hasattr(asyncpg.Connection, name):
            raise AttributeError(name)
        raise IsolationError.not_offered("asyncpg.Connection." + name)
