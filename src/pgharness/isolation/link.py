"""What the links of every driver share: the transaction of one test on one physical connection."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, TypeVar

from pgharness.errors import IsolationError
from pgharness.isolation import writers
from pgharness.isolation.commands import BEGIN, CHECK, END, END_INNER, LET_WAIT
from pgharness.isolation.locks import Locks
from pgharness.isolation.origin import origin
from pgharness.isolation.running import Test
from pgharness.isolation.stack import Stack
from pgharness.isolation.statements import Statement
from pgharness.isolation.target import Target
from pgharness.isolation.transaction import Transaction

T = TypeVar("T")
_OF_A_TEST = (
    *("test", "stack", "begun", "schema_changed", "deferrable", "_checked", "_let_wait", "ended_by"),
    *("locked_at", "locks", "_saved"),
)
_LOCK_TIMEOUT = "canceling statement due to lock timeout"
DriverName = Literal["asyncpg", "psycopg"]


class Link(Protocol):
    """One physical connection to the worker's database, kept from test to test."""

    driver: DriverName
    state: LinkState

    def start(self, test: Test) -> None:
        """Serve ``test`` from now on; nothing is sent before its first statement."""
        ...

    def finish(self) -> list[IsolationError]:
        """Roll the test's transaction back. What it returns fails the test."""
        ...

    def close(self) -> None:
        """Close the physical connection."""
        ...


class LinkState:
    """The bookkeeping of a link: its stack, whether BEGIN was sent, what the test did to it.

    Every change of the stack happens under ``guard``; nothing waits while holding it.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.guard = threading.RLock()
        self.defaults: dict[str, str] = {}
        self.stack = Stack("", target.writers, self.defaults)
        self.test: Test | None = None
        self.begun = False
        self.schema_changed = False
        self.deferrable = target.deferrable
        self._checked = self._let_wait = False
        self._saved = False
        """Whether the transaction of a module or class knows where the sequences stood after its data."""
        self.ended_by = ("", "")
        """The last statement that may have ended the test's transaction, and where it was sent."""
        self.lost = False
        """Whether a connection is gone that held the data of a module or class."""
        self._outer: list[dict[str, Any]] = []
        self.running = ("", "")
        """The statement sent last, which runs while the link is locked, and where its transaction began."""
        self.locks = Locks()
        self.locked_at = ""
        """Where a statement was sent that may have taken an advisory lock for the session."""

    def reset(self, test: Test | None) -> None:
        with self.guard:
            self.test = test
            self.stack = Stack(test.id if test else "", self.target.writers, self.defaults)
            self.begun = False
            self.schema_changed = False
            self.deferrable = self.target.deferrable
            self._checked = self._let_wait = self._saved = False
            self.ended_by, self.locked_at = ("", ""), ""
            self.locks = Locks()

    def enter(self, test: Test) -> None:
        """Serve ``test``, inside the transaction of its parent if that has one here."""
        with self.guard:
            if test.parent is None or test.parent is not self.test:
                self._outer.clear()
                self.lost = False
                self.reset(test)
                return
            outer = {name: getattr(self, name) for name in _OF_A_TEST}
            self._outer.append(outer)
            self.reset(test)
            self.stack.go_on(outer["stack"])
            self.deferrable, self._checked = outer["deferrable"], outer["_checked"]

    def leave(self) -> None:
        """Serve the parent of the test again, if it has one here."""
        with self.guard:
            self.reset(None)
            if self._outer:
                for name, value in self._outer.pop().items():
                    setattr(self, name, value)

    def lose(self) -> None:
        """The connection is gone, and the data of the test's parents with it."""
        with self.guard:
            self.lost = self.lost or self.begun or any(outer["begun"] for outer in self._outer)
            for outer in self._outer:
                outer["begun"] = False
            self.begun = False

    @property
    def end(self) -> str:
        """What ends the transaction of the test and undoes it."""
        return END_INNER if self._is_inner() else END

    def _is_inner(self) -> bool:
        return any(outer["begun"] for outer in self._outer)

    def batch(self, sql: Sequence[str]) -> str:
        """``sql`` as one simple query, with the BEGIN of the test before the first."""
        if not sql and self.begun:
            return ""
        first = () if self.begun else self._first()
        self.begun = True
        return "; ".join((*first, *sql))

    def _first(self) -> tuple[str, ...]:
        """What begins the test, inside that of its module or class if they have data."""
        restart = self.test.restart if self.test is not None else None
        scope = next((outer for outer in reversed(self._outer) if outer["begun"]), None)
        if scope is None:
            return (*BEGIN, restart.alone) if restart else BEGIN
        first: tuple[str, ...] = (*self._outer[-1]["stack"].take_pending(), BEGIN[-1])
        if restart is None:
            return first
        saved, scope["_saved"] = scope["_saved"], True
        return (*first[:-1], *(() if saved else (restart.save,)), first[-1], restart.inside)

    def before(self, transaction: Transaction, statement: Statement, setting: str = "") -> str:
        """The simple query to send before ``statement`` of ``transaction``."""
        with self.guard:
            if statement.changes_schema:
                self.schema_changed = True
            self._check_reads(transaction, statement)
            self._check_locks(transaction, statement)
            sql = self._noting(lambda: self.stack.before(transaction, statement, setting))
            transaction.tables |= statement.changed_tables
            if self.test is not None:
                self.test.tables |= statement.changed_tables
            if self._let_wait:
                sql.append(LET_WAIT)
            if statement is CHECK:
                self._checked = True
            elif statement.defers:
                self.deferrable = True
            # Once constraints have been set IMMEDIATE, those that DDL makes are so as well.
            self._let_wait = self._checked and statement.defers and statement.changes_schema
            return self.batch(sql)

    def watch(self, statement: Statement, text: str) -> None:
        """Keep what the end of the test asks about ``statement``, whose text is ``text``."""
        if statement.ends:
            self.ended_by = (text.strip(), origin())
        if statement.locks or not self.target.writers.isdisjoint(statement.words):
            self.locked_at = origin()
        if statement.notifies and self.test is not None and self.test.listens_at:
            error = IsolationError.not_delivered(self.test.id, origin(), self.test.listens_at)
            self.test.doubt(error, self.target.strict)

    def _check_reads(self, reader: Transaction, statement: Statement) -> None:
        """Note, or refuse, that ``statement`` may see rows that others have not committed."""
        if self.target.strict == "off" or self.test is None or not statement.read_tables:
            return
        for table, writer in writers.uncommitted(reader, self.stack.savepoints, statement.read_tables):
            self.test.doubt(
                IsolationError.uncommitted(self.test.id, table, reader.origin, writer), self.target.strict
            )

    def _check_locks(self, transaction: Transaction, statement: Statement) -> None:
        """Note, or refuse, that ``statement`` locks what another session should have kept it out of."""
        found = self.locks.take(transaction, statement, self.stack.savepoints)
        if found is None or self.test is None:
            return
        make = IsolationError.not_skipped if statement.skips else IsolationError.both_lock
        self.test.doubt(
            make(self.test.id, transaction.origin, *found), "error" if statement.skips else self.target.strict
        )

    def busy(self, where: str) -> IsolationError:
        """What to raise in the session of ``where`` if the link stays locked by another's statement."""
        text, other = self.running
        return IsolationError.busy(self.stack.test, where, self.target.lock_timeout, text, other)

    def locked(self, holders: Sequence[str]) -> IsolationError:
        """What to raise for the running statement if PostgreSQL has waited for a lock in vain."""
        text, where = self.running
        return IsolationError.locked(self.stack.test, text, where, self.target.lock_timeout, holders)

    def waited_in_vain(self, transaction: Transaction, message: str) -> bool:
        """Whether ``message`` is PostgreSQL's about the harness's own limit on waiting for a lock."""
        own = "lock_timeout" in transaction.settings or "lock_timeout" in transaction.local_settings
        return not own and message.startswith(_LOCK_TIMEOUT)

    def left_open(self) -> IsolationError | None:
        """What to raise if transactions are open as the test ends."""
        with self.guard:
            origins = writers.open_transactions(self.stack.savepoints)
            if self.stack.diverged is not None or not origins:
                return None
            return IsolationError.left_open(self.stack.test, origins)

    def _noting(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except IsolationError as error:
            if self.test is not None and error not in self.test.errors:
                self.test.errors.append(error)
            raise

    def changed(self, transaction: Transaction, name: str, value: str) -> None:
        with self.guard:
            self.stack.changed(transaction, name, value)

    def failed(self, transaction: Transaction) -> None:
        with self.guard:
            self.stack.failed(transaction)

    def must_check(self, transaction: Transaction) -> bool:
        """Whether a commit of ``transaction`` has to check constraints that waited for it."""
        with self.guard:
            wrote = writers.wrote(self.stack.savepoints, transaction)
            return self.deferrable and not transaction.failed and wrote

    def violated(self, transaction: Transaction, error: Exception) -> Exception:
        """What to raise for ``error``, with which the check at the commit of ``transaction`` failed.

        Others that are open and have written may yet mend what they have broken; PostgreSQL cannot tell
        their rows from those of the one that commits.
        """
        with self.guard:
            others = writers.open_others(transaction, self.stack.savepoints)
            if not others:
                return error
            found = IsolationError.deferred_constraint(
                self.stack.test, transaction.origin, others, str(error)
            )
            if self.test is not None:
                self.test.errors.append(found)
            return found

    def commit(self, transaction: Transaction) -> bool:
        with self.guard:
            return self.stack.commit(transaction, where=origin)

    def rollback(self, transaction: Transaction) -> None:
        with self.guard:
            self.stack.rollback(transaction, where=origin)

    def control(self, transaction: Transaction, statement: Statement) -> str | None:
        """The simple query for a SAVEPOINT statement; None if ``transaction`` has no savepoint of that name.

        The transaction has failed then, and nothing is to be sent: the caller raises what PostgreSQL would.
        """
        with self.guard:
            if statement.kind == "savepoint":
                return self.batch(self._noting(lambda: self.stack.savepoint(transaction, statement.name)))
            if statement.kind == "release":
                sql = self._noting(lambda: self.stack.release_to(transaction, statement.name))
            else:
                sql = self._noting(lambda: self.stack.rollback_to(transaction, statement.name, where=origin))
            if sql is None:
                transaction.failed = True  # the server's transaction has not: another may be on top
                return None
            return self.batch(sql)

    def interrupt(self) -> None:
        """Transaction control was cut off on its way: what the server did is not known."""
        with self.guard:
            if self.stack.diverged is None:
                self.stack.diverged = IsolationError.interrupted(self.stack.test)
