"""The transactions of a virtual asyncpg connection, and what a statement of it goes through."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import asyncpg

from pgharness.errors import IsolationError
from pgharness.isolation.asyncpg_driver import AsyncpgLink, Sent
from pgharness.isolation.commands import CHECK, CHECK_CONSTRAINTS
from pgharness.isolation.origin import origin
from pgharness.isolation.running import Test
from pgharness.isolation.session_settings import SessionSettings, level_of, local_setting
from pgharness.isolation.statements import SAVEPOINTS, Statement, classify
from pgharness.isolation.transaction import Transaction

T = TypeVar("T")
_FETCH = Statement("plain", writes=False)


class VirtualTransactions:
    """A connection whose transactions are savepoints of the test's one.

    Args:
        link: Yields the link of the running test; raises if no test runs.
        settings: The ``server_settings`` this connection was asked for.
        record_class: As asyncpg's.
    """

    def __init__(
        self,
        link: Callable[[], AsyncpgLink],
        settings: Mapping[str, str],
        record_class: type | None = None,
    ) -> None:
        self._link_of_test = link
        self.settings = SessionSettings(settings)
        self._record_class = record_class
        self._transaction: Transaction | None = None
        self._test: Test | None = None
        self._link: AsyncpgLink | None = None
        self._closed = False
        self._depth = 0
        self._by_hand = False

    def _begin(self, isolation: str | None, readonly: bool) -> None:
        link = self._current_link()
        self._transaction = Transaction(
            origin(),
            read_only=readonly,
            snapshot=level_of(isolation),
            settings=self.settings.begin(link.state),
            session=self.settings,
        )
        self._test, self._link = link.state.test, link

    async def _commit(self) -> None:
        """End the transaction as COMMIT does; what its deferred constraints refuse is undone and raised."""
        transaction, link = self._transaction, self._current_link()
        try:
            if transaction is not None:
                await self._check_constraints(link, transaction)
        except BaseException:
            self._end(commit=False)
            raise
        self._end(commit=True)

    async def _check_constraints(self, link: AsyncpgLink, transaction: Transaction) -> None:
        if not link.state.must_check(transaction):
            return
        try:
            await link.reach(
                lambda: link.run(transaction, Sent(CHECK, "COMMIT"), lambda c: c.execute(CHECK_CONSTRAINTS))
            )
        except asyncpg.PostgresError as error:
            raise link.state.violated(transaction, error) from None

    def _end(self, *, commit: bool) -> None:
        transaction, link, test = self._transaction, self._link, self._test
        self._transaction = self._link = self._test = None
        self._depth, self._by_hand = 0, False
        if transaction is None or link is None or transaction.ended or test is not link.state.test:
            return  # what a test left open was rolled back with it
        if commit:
            if link.state.commit(transaction):
                self.settings.keep(transaction)
        else:
            link.state.rollback(transaction)

    def _current_link(self) -> AsyncpgLink:
        if self._closed:
            raise asyncpg.InterfaceError("connection is closed")
        link = self._link_of_test()
        if self._transaction is not None and self._test is not link.state.test:
            began, self._transaction = self._transaction.origin, None
            raise IsolationError.transaction_of_earlier_test(
                link.state.test.id if link.state.test else "", began, self._test.id if self._test else ""
            )
        self.settings.serve(link.state.test)
        return link

    # -- statements -------------------------------------------------------------------------------

    async def _run(
        self,
        query: str,
        args: Iterable[Any],
        call: Callable[[asyncpg.Connection[Any]], Awaitable[T]],
        statement: Statement | None = None,
    ) -> T | None:
        """Run one statement; without a transaction of its own it commits by itself."""
        statement = statement or classify(query)
        link = self._current_link()
        if statement.kind == "empty":
            return None
        if statement.kind != "plain":
            await self._control(link, statement, query)
            return None
        link.state.watch(statement, query)
        sent = Sent(statement, query, local_setting(statement, query, tuple(args)))
        transaction = self._transaction
        if statement.session_setting:
            await link.reach(lambda: link.know_defaults({statement.session_setting: ""}))
        if transaction is not None:
            return await link.reach(lambda: self._perform(link, transaction, sent, call))
        single = Transaction(origin(), settings=self.settings.begin(link.state), session=self.settings)
        try:
            result = await link.reach(lambda: self._perform(link, single, sent, call))
            await self._check_constraints(link, single)
        except BaseException as error:
            link.state.rollback(single)
            if isinstance(error, asyncpg.ActiveSQLTransactionError):
                raise IsolationError.not_in_transaction(link.state.stack.test, str(error)) from error
            raise
        link.state.commit(single)
        self.settings.keep(single)
        return result

    async def _perform(
        self,
        link: AsyncpgLink,
        transaction: Transaction,
        sent: Sent,
        call: Callable[[asyncpg.Connection[Any]], Awaitable[T]],
    ) -> T:
        result = await link.run(transaction, sent, call)
        if name := sent.statement.session_setting:
            query = "SELECT current_setting($1, true)"
            value = await link.run(transaction, Sent(_FETCH, query), lambda c: c.fetchval(query, name))
            link.state.changed(transaction, name, value or "")
        return result

    async def _control(self, link: AsyncpgLink, statement: Statement, query: str) -> None:
        transaction = self._transaction
        if statement.kind in SAVEPOINTS:
            if transaction is None:
                raise asyncpg.NoActiveSQLTransactionError(
                    f"{query.split(maxsplit=1)[0].upper()} can only be used in transaction blocks"
                )
            await link.reach(lambda: link.control(transaction, statement))
        elif statement.kind == "begin" and transaction is None:
            self._begin(None, "read only" in query.lower())
            self._by_hand = True
        elif statement.kind in ("commit", "rollback") and self._by_hand:
            if statement.kind == "commit":
                await self._commit()
            else:
                self._end(commit=False)
        else:
            raise IsolationError.raw_control(link.state.stack.test, query.strip(), origin())
