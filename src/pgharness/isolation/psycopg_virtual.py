"""What a joined psycopg engine holds: `psycopg.Connection` and `AsyncConnection` over a shared PGconn.

Both derive from psycopg's own classes, so cursors, COPY, adapters and row factories are the real
ones; replaced is what begins and ends transactions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import psycopg
from psycopg import pq

from pgharness.isolation.psycopg_driver import PsycopgLink
from pgharness.isolation.psycopg_transactions import VirtualTransactions


class VirtualConnection(VirtualTransactions, psycopg.Connection[Any]):
    """A synchronous `psycopg.Connection` that has joined the test's transaction."""

    def __init__(self, link: Callable[[], PsycopgLink], options: Mapping[str, Any]) -> None:
        super().__init__(link().connection().pgconn)
        self._join(link, options)

    def close(self) -> None:
        self._close()

    def rollback(self) -> None:
        self._roll_back()

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        self._before_cursor()
        return super().cursor(*args, **kwargs)

    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        transaction = psycopg.Transaction(self, savepoint_name, force_rollback)
        transaction.pgconn = cast("Any", _Status(self))
        with transaction:
            yield transaction


class AsyncVirtualConnection(VirtualTransactions, psycopg.AsyncConnection[Any]):  # type: ignore[misc]  # checked as the synchronous face
    """An asynchronous `psycopg.AsyncConnection` that has joined the test's transaction."""

    def __init__(self, link: Callable[[], PsycopgLink], options: Mapping[str, Any]) -> None:
        super().__init__(link().connection().pgconn)
        self._join(link, options)

    async def close(self) -> None:  # type: ignore[override]  # the same
        self._close()

    async def rollback(self) -> None:  # type: ignore[override]  # the same
        self._roll_back()

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        self._before_cursor()
        return super().cursor(*args, **kwargs)

    @asynccontextmanager
    async def transaction(  # type: ignore[override]  # the same
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> AsyncIterator[psycopg.AsyncTransaction]:
        transaction = psycopg.AsyncTransaction(self, savepoint_name, force_rollback)
        transaction.pgconn = cast("Any", _Status(self))
        async with transaction:
            yield transaction


class _Status:
    """What a psycopg `Transaction` asks of its PGconn."""

    def __init__(self, virtual: VirtualTransactions) -> None:
        self._virtual = virtual

    @property
    def transaction_status(self) -> pq.TransactionStatus:
        return self._virtual._status()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._virtual.pgconn, name)
