"""What the links of every driver share: the transaction of one test on one physical connection."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar

from pgharness.errors import IsolationError
from pgharness.isolation import clock
from pgharness.isolation.origin import origin
from pgharness.isolation.stack import Stack, Transaction
from pgharness.isolation.statements import Statement
from pgharness.sequences import Restart

T = TypeVar("T")
CHECK = Statement("plain", writes=True)
BEGIN = ("BEGIN", "SAVEPOINT pgh_test")
"""Begins the transaction of a test. The savepoint is gone if anything has ended that transaction."""
END = "ROLLBACK TO SAVEPOINT pgh_test; ROLLBACK"
END_INNER = "ROLLBACK TO SAVEPOINT pgh_test; RELEASE SAVEPOINT pgh_test"
_OF_A_TEST = (
    *("test", "stack", "begun", "schema_changed", "deferrable", "_checked", "_let_wait", "ended_by"),
    *("locked_at", "_saved"),
)
HOLDERS = """
SELECT format('process %s%s, %s for %s s, its last statement: %s', pid,
              coalesce(' ' || nullif(application_name, ''), ''), state,
              round(extract(epoch FROM clock_timestamp() - xact_start)::numeric, 1), left(query, 120))
FROM pg_stat_activity
WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), {pid}) AND xact_start IS NOT NULL
ORDER BY xact_start
"""
"""The open transactions besides that of the process ``pid``, a line each."""
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
UNLOCK = "SELECT pg_advisory_unlock_all()"
_LOCK_TIMEOUT = "canceling statement due to lock timeout"
_LET_WAIT = """DO $$ DECLARE waiting text; BEGIN
  SELECT string_agg(format('%I.%I', n.nspname, c.conname), ', ') INTO waiting
  FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
  WHERE c.condeferred;
  IF waiting IS NOT NULL THEN EXECUTE 'SET CONSTRAINTS ' || waiting || ' DEFERRED'; END IF;
END $$"""
CHECK_CONSTRAINTS = f"SET CONSTRAINTS ALL IMMEDIATE; {_LET_WAIT}"
"""Checks what a commit would check, then lets the constraints wait again that do so by themselves."""
DEFAULT = "SELECT reset_val FROM pg_settings WHERE name = lower({})"
"""The value that RESET would give a parameter, whatever a transaction has set."""
DriverName = Literal["asyncpg", "psycopg"]
Level = Literal["", "REPEATABLE READ", "SERIALIZABLE"]


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """The worker's database, as the links connect to it. ``lock_timeout`` is in seconds.

    ``tls`` lets the drivers try TLS first, as they do by default; a server on loopback has none.
    """

    host: str
    port: int
    user: str
    password: str = dataclasses.field(repr=False)
    database: str
    lock_timeout: float
    tls: bool = False
    writers: frozenset[str] = frozenset()
    deferrable: bool = False
    """Whether the schema has a constraint, or constraint trigger, that can wait for the commit."""
    strict: Literal["off", "warn", "error"] = "off"
    """What to do where a transaction reads what another has not committed."""
    clock: bool = False
    """Whether each transaction is told what time it is."""


@dataclasses.dataclass(eq=False, slots=True)
class Test:
    """The test whose transaction the engines join, or the module or class for whose tests data is made.

    ``parent`` is the module or class whose data this one sees.
    """

    __test__ = False
    id: str
    parent: Test | None = None
    restart: Restart | None = None
    """What sets the sequences back at its beginning, if it asks for that."""
    link: Link | None = None
    ended: bool = False
    errors: list[IsolationError] = dataclasses.field(default_factory=list)
    """What was raised because rows would have been wrong; fails the test even if it was swallowed."""
    warnings: dict[str, None] = dataclasses.field(default_factory=dict)
    """What the test is warned of at its end, each once."""
    tasks: weakref.WeakSet[asyncio.Task[Any]] = dataclasses.field(default_factory=weakref.WeakSet)
    """The asyncio tasks that have used the database."""


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
            sql = self._noting(lambda: self.stack.before(transaction, statement, setting))
            transaction.tables |= statement.changed_tables
            if self._let_wait:
                sql.append(_LET_WAIT)
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

    def _check_reads(self, reader: Transaction, statement: Statement) -> None:
        """Note, or refuse, that ``statement`` may see rows that others have not committed."""
        if self.target.strict == "off" or self.test is None or not statement.read_tables:
            return
        for table, writer in self.stack.uncommitted(reader, statement.read_tables):
            error = IsolationError.uncommitted(self.test.id, table, reader.origin, writer)
            if self.target.strict == "error":
                self.test.errors.append(error)
                raise error
            self.test.warnings[str(error)] = None

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
            if self.stack.diverged is None and (origins := self.stack.open_transactions()):
                return IsolationError.left_open(self.stack.test, origins)
            return None

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
            return self.deferrable and not transaction.failed and self.stack.wrote(transaction)

    def violated(self, transaction: Transaction, error: Exception) -> Exception:
        """What to raise for ``error``, with which the check at the commit of ``transaction`` failed.

        Others that are open and have written may yet mend what they have broken; PostgreSQL cannot tell
        their rows from those of the one that commits.
        """
        with self.guard:
            others = self.stack.open_writers(transaction)
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


class SessionSettings:
    """The run-time parameters of one virtual connection, which its transactions begin with.

    A pool keeps a connection for longer than a test: what a test sets is forgotten with it, what
    the connection was made with, by its arguments or by a listener to "connect", is not.
    """

    def __init__(self, asked: Mapping[str, str]) -> None:
        self.current: Mapping[str, str] = dict(asked)
        self._asked: Mapping[str, str] = self.current
        self._made = False
        self._test: Test | None = None

    def made(self, transaction: Transaction | None) -> None:
        """The connection is handed out for the first time; what it has set by now stays."""
        if not self._made:
            self._made = True
            self._asked = self.current if transaction is None else transaction.settings

    def begin(self, link: LinkState) -> Mapping[str, str]:
        """The parameters that a transaction of ``link`` begins with."""
        return {**self.current, clock.SETTING: clock.now()} if link.target.clock else self.current

    def serve(self, test: Test | None) -> None:
        if test is not self._test:
            self._test = test
            if self._made:
                self.current = self._asked

    def keep(self, transaction: Transaction) -> None:
        """``transaction`` has committed, and what it set with it."""
        self.current = transaction.settings


_SET_CONFIG = re.compile(
    r"set_config\s*\(\s*(?:'([\w.]+)'|\$(\d+)(?:::\w+)?|%\((\w+)\)s(?:::\w+)?|(%s)(?:::\w+)?)", re.IGNORECASE
)


def local_setting(statement: Statement, text: str, args: Sequence[Any] | Mapping[str, Any] | None) -> str:
    """The parameter that a SET LOCAL or a call of set_config sets; empty if there is none.

    A name that is itself a parameter of the statement is looked up in ``args``.
    """
    if statement.local_setting:
        return statement.local_setting
    if "set_config" not in statement.words or not (found := _SET_CONFIG.search(text)):
        return ""
    literal, number, name, _ = found.groups()
    if literal:
        return str(literal)
    values: Any = args or ()
    try:
        if name:
            return str(values[name])
        return str(values[int(number) - 1 if number else text.count("%s", 0, found.start())])
    except (LookupError, TypeError):
        return ""


def level_of(isolation: str | None) -> Level:
    """The isolation level if it is one that keeps a snapshot."""
    name = (isolation or "").upper().replace("_", " ")
    return name if name in ("REPEATABLE READ", "SERIALIZABLE") else ""  # type: ignore[return-value]
