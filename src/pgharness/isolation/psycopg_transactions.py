"""The transactions of a virtual psycopg connection: the generators that begin, check and end them.

They replace internals of psycopg (``_start_query``, ``_exec_command``, ``_commit_gen``,
``_rollback_gen``), which are the same from 3.1 to 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

import psycopg
from psycopg import pq
from psycopg._preparing import PrepareManager
from psycopg.adapt import AdaptersMap

from pgharness.errors import IsolationError
from pgharness.isolation.origin import origin
from pgharness.isolation.psycopg_cursors import settings_of, text_of, with_text
from pgharness.isolation.psycopg_driver import PsycopgLink
from pgharness.isolation.running import Test
from pgharness.isolation.session_settings import SessionSettings, level_of, local_setting
from pgharness.isolation.statements import SAVEPOINTS, Statement, classify
from pgharness.isolation.transaction import Transaction

if TYPE_CHECKING:
    Base = psycopg.Connection[Any]
else:
    Base = object

_FETCH = Statement("plain", writes=False)


class _Info(psycopg.ConnectionInfo):
    """`Connection.info` with the transaction status of the virtual connection."""

    virtual: VirtualTransactions

    @property
    def transaction_status(self) -> pq.TransactionStatus:
        return self.virtual._status()


class VirtualTransactions(Base):
    """The transactions of a virtual connection, for both faces of psycopg."""

    def _join(self, link: Callable[[], PsycopgLink], options: Mapping[str, Any]) -> None:
        """Take part in the tests of ``link``; ``options`` are the arguments of ``connect``."""
        current = link()
        self._link_of_test = link
        self._transaction: Transaction | None = None
        self._test: Test | None = None
        self._virtually_closed = False
        self._begun_by_hand = False
        self._query_text: str | None = None
        self._query_args: Any = None
        self._autocommit = bool(options.get("autocommit", False))
        self.lock = current.lock  # type: ignore[assignment]  # one lock for both faces
        self.settings = SessionSettings(settings_of(options.get("options")))
        self._prepared = self._prepared_of(current)
        current.know_defaults(self.settings.current)
        if options.get("row_factory"):
            self.row_factory = options["row_factory"]
        self.cursor_factory = with_text(options.get("cursor_factory") or self.cursor_factory)
        self.server_cursor_factory = with_text(self.server_cursor_factory)
        if options.get("context"):
            self._adapters = AdaptersMap(options["context"].adapters)

    def _current_link(self) -> PsycopgLink:
        if self._virtually_closed:
            raise psycopg.OperationalError("the connection is closed")
        link = self._link_of_test()
        if self._transaction is not None and self._test is not link.state.test:
            began, self._transaction = self._transaction.origin, None
            raise IsolationError.transaction_of_earlier_test(
                link.state.stack.test, began, self._test.id if self._test else ""
            )
        self._follow(link)
        self.settings.serve(link.state.test)
        return link

    def _before_cursor(self) -> None:
        """See that a cursor gets the libpq connection of the running test.

        If there is none, its first statement says so: SQLAlchemy would wrap an error of `cursor`.
        """
        if self._virtually_closed:
            raise psycopg.OperationalError("the connection is closed")
        with suppress(IsolationError):
            self._follow(self._link_of_test())

    def _follow(self, link: PsycopgLink) -> None:
        """Use the libpq connection and the lock of the running test; a pool keeps us for longer."""
        pgconn = link.connection().pgconn
        if self.pgconn is not pgconn:
            self.pgconn = pgconn
            self._prepared = self._prepared_of(link)
        self.lock = link.lock  # type: ignore[assignment]  # the same

    def _prepared_of(self, link: PsycopgLink) -> Any:
        """The statements that all share; none with a search_path of its own, which gives them other types."""
        if "search_path" not in self.settings.current:
            return link.prepared
        never = PrepareManager()
        never.prepare_threshold = None
        return never

    def _status(self) -> pq.TransactionStatus:
        transaction = self._transaction
        if transaction is None:
            return pq.TransactionStatus.IDLE
        real = self.pgconn.transaction_status
        top = self._link_of_test().state.stack.savepoints
        mine = bool(top) and top[-1].owner is transaction
        if transaction.failed or (real == pq.TransactionStatus.INERROR and mine):
            return pq.TransactionStatus.INERROR
        return pq.TransactionStatus.INTRANS

    # -- psycopg's generators ---------------------------------------------------------------------

    def _start_query(self) -> Generator[Any, Any, None]:
        link = self._current_link()
        text, args, self._query_text, self._query_args = self._query_text, self._query_args, None, None
        statement = classify(text) if text is not None else _FETCH
        link.note_failure()
        link.end_single()
        if statement.kind == "empty":
            return
        if statement.kind != "plain":
            raise IsolationError.raw_control(link.state.stack.test, (text or "").strip(), origin())
        link.state.watch(statement, text or "")
        setting = local_setting(statement, text or "", args)
        if self._transaction is None:
            if self._autocommit:
                link.single = single = Transaction(
                    origin(), settings=self.settings.begin(link.state), session=self.settings
                )
                link.state.running = (text or "FETCH", single.origin)
                yield from link.begin_statement(single, statement, setting)
                return
            self._begin(link)
        assert self._transaction is not None  # noqa: S101 - for the type checker
        link.state.running = (text or "FETCH", self._transaction.origin)
        yield from link.begin_statement(self._transaction, statement, setting)

    def _changed(self, name: str) -> None:
        """The last statement has set the parameter ``name`` for the session."""
        link = self._current_link()
        transaction = self._transaction or link.single
        if transaction is not None:
            link.state.changed(transaction, name, link.setting(name))
            if self._transaction is None:
                self.settings.keep(transaction)

    def _begin(self, link: PsycopgLink) -> None:
        level = self._isolation_level
        self._transaction = Transaction(
            origin(),
            read_only=bool(self._read_only),
            snapshot=level_of(level.name if level is not None else None),
            settings=self.settings.begin(link.state),
            session=self.settings,
        )
        self._test = link.state.test

    def _control_gen(self, statement: Statement, text: str) -> Generator[Any, Any, None]:
        """Run transaction control: the application's savepoints, psycopg's own BEGIN and COMMIT."""
        link = self._current_link()
        link.note_failure()
        link.end_single()
        transaction = self._transaction
        if statement.kind in SAVEPOINTS:
            if transaction is None:
                if self._autocommit:
                    raise psycopg.errors.NoActiveSqlTransaction(
                        f"{text.split(maxsplit=1)[0].upper()} can only be used in transaction blocks"
                    )
                self._begin(link)
                transaction = self._transaction
            assert transaction is not None  # noqa: S101 - for the type checker
            if transaction.failed and statement.kind != "rollback to":
                yield from link.begin_statement(transaction, _FETCH, "")  # raises as PostgreSQL does
            sql = link.state.control(transaction, statement)
            if sql is None:
                raise psycopg.errors.InvalidSavepointSpecification(
                    f'savepoint "{statement.name}" does not exist'
                )
            yield from link.send(sql)
        elif statement.kind == "begin" and transaction is None:
            self._begin(link)
        elif statement.kind == "commit":
            yield from self._checked_commit()
        elif statement.kind == "rollback":
            self._end(commit=False)

    def _checked_commit(self) -> Generator[Any, Any, None]:
        """End the transaction as COMMIT does; what its deferred constraints refuse is undone and raised."""
        transaction = self._transaction
        try:
            if transaction is not None:
                link = self._current_link()
                link.note_failure()
                yield from link.check_constraints(transaction)
        except BaseException:
            self._end(commit=False)
            raise
        self._end(commit=True)

    def _settle(self) -> Generator[Any, Any, None]:
        """Commit what an autocommit connection has just done, if constraints wait for that."""
        link = self._current_link()
        single = link.single
        if self._transaction is None and single is not None:
            link.note_failure()
            try:
                yield from link.check_constraints(single)
            finally:
                link.end_single()

    def _end(self, *, commit: bool) -> None:
        transaction, test = self._transaction, self._test
        self._transaction = self._test = None
        self._begun_by_hand = False
        if transaction is None or test is None or test.ended or not isinstance(test.link, PsycopgLink):
            return  # what a test left open was rolled back with it
        link = test.link
        link.note_failure()
        if commit:
            if link.state.commit(transaction):
                self.settings.keep(transaction)
        else:
            link.state.rollback(transaction)

    def _exec_command(self, command: Any, result_format: Any = pq.Format.TEXT) -> Generator[Any, Any, Any]:
        text = text_of(command, self)
        statement = classify(text)
        if statement.kind in ("plain", "empty", "refused"):
            return (yield from super()._exec_command(command, result_format))
        yield from self._control_gen(statement, text)
        return None

    def _commit_gen(self) -> Generator[Any, Any, None]:
        if self._num_transactions:
            yield from super()._commit_gen()  # raises
        if self._virtually_closed or self._transaction is not None:
            self._current_link()  # raises if the transaction is another test's
        yield from self._checked_commit()

    def _roll_back(self) -> None:
        """Take no lock and ask for no test: SQLAlchemy answers an error in rollback() with a rollback()."""
        if self._virtually_closed:
            raise psycopg.OperationalError("the connection is closed")
        if self._num_transactions:
            raise psycopg.ProgrammingError(
                "Explicit rollback() forbidden within a Transaction context. "
                "(Either raise Rollback() or allow an exception to propagate out of the context.)"
            )
        self._end(commit=False)

    def _check_intrans_gen(self, attribute: str) -> Generator[Any, Any, None]:
        status = self._status()
        if status != pq.TransactionStatus.IDLE:
            raise psycopg.ProgrammingError(
                f"can't change {attribute!r} now: connection in transaction status {status.name}"
            )
        yield from ()

    # -- the public face ---------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        return self._virtually_closed

    @property
    def info(self) -> psycopg.ConnectionInfo:
        info = _Info(self.pgconn)
        info.virtual = self
        return info

    def _close(self) -> None:
        if not self._virtually_closed:
            self._end(commit=False)
            self._virtually_closed = True

    def __del__(self, _warn: Any = None, /) -> None:
        """Nothing to warn of: a virtual connection holds no socket."""

    def pipeline(self) -> NoReturn:
        raise IsolationError.not_offered("psycopg.Connection.pipeline")

    def notifies(self, *_: Any, **__: Any) -> NoReturn:
        raise IsolationError.not_offered("psycopg.Connection.notifies")
