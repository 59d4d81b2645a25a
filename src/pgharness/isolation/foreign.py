"""Connections that a test, or its app, opens past SQLAlchemy: they do not join, and what they commit stays.

asyncpg's and psycopg's connections to the worker's database are watched from where the drivers make
them, whoever imported what and when; which of their statements write is read from the text. Other
drivers, and other processes, are not seen.
"""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import sys
from collections.abc import Callable, Iterator
from typing import Any

import asyncpg

from pgharness.errors import IsolationError
from pgharness.isolation.origin import origin
from pgharness.isolation.running import Test
from pgharness.isolation.statements import Statement, classify
from pgharness.isolation.target import Target

_own: contextvars.ContextVar[bool] = contextvars.ContextVar("pgharness_own", default=False)
_ASYNCPG_METHODS = (
    *("execute", "executemany", "fetch", "fetchrow", "fetchval", "fetchmany", "cursor", "prepare"),
    *("copy_to_table", "copy_records_to_table"),
)


@contextlib.contextmanager
def own() -> Iterator[None]:
    """Connections made in the block are the harness's."""
    token = _own.set(True)
    try:
        yield
    finally:
        _own.reset(token)


async def connect_unwatched(target: Target, **options: Any) -> asyncpg.Connection[Any]:
    """A connection of the harness's own to ``target``; ``options`` are further arguments of asyncpg's."""
    with own():
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            host=target.host,
            port=target.port,
            user=target.user,
            password=target.password,
            database=target.database,
            ssl=None if target.tls else False,
            **options,
        )
    return connection


@dataclasses.dataclass(frozen=True, slots=True)
class Commit:
    """A write that a foreign connection has committed, and where the statement was sent."""

    statement: str
    where: str


class Watched:
    """What is known of one foreign connection from the texts it sends.

    Args:
        committed: Called with the first write of a transaction when that is committed.
        said: Called with every statement before it is sent.
    """

    def __init__(self, committed: Callable[[Commit], None], said: Callable[[Statement], None]) -> None:
        self._committed = committed
        self._said = said
        self._open = False
        self._written: Commit | None = None

    def sent(self, text: str, *, writes: bool = False, open_: bool | None = None) -> None:
        """Note a statement; ``open_`` says whether a transaction is open, where the driver knows."""
        statement = classify(text)
        self._said(statement)
        if statement.kind == "begin":
            self._open = True
        elif statement.kind in ("commit", "rollback"):
            self.ended(kept=statement.kind == "commit")
        elif statement.kind == "plain" and (statement.writes or writes):
            self._written = self._written or Commit(text.strip(), origin())
            if not (self._open if open_ is None else open_):
                self.ended(kept=True)

    def ended(self, *, kept: bool) -> None:
        """A transaction, or a statement outside one, has ended."""
        written, self._written, self._open = self._written, None, False
        if kept and written is not None:
            self._committed(written)


class Foreign:
    """Watches the drivers while it is installed.

    Args:
        target: Connections to its database count.
        test: The test in whose transaction a commit would be a leak; None if there is none.
    """

    def __init__(self, target: Target, test: Callable[[], Test | None]) -> None:
        self._target = target
        self._database = target.database
        self._test = test
        self._found: list[Commit] = []
        self._undo: dict[str, Callable[[], None]] = {}

    def take(self) -> list[Commit]:
        """What has been committed since the last call."""
        found, self._found = self._found, []
        return found

    def watch(self) -> None:
        """Watch the drivers that have been imported by now."""
        if "asyncpg" not in self._undo and "asyncpg" in sys.modules:
            self._undo["asyncpg"] = self._watch_asyncpg()
        if "psycopg" not in self._undo and hasattr(sys.modules.get("psycopg"), "AsyncConnection"):
            self._undo["psycopg"] = self._watch_psycopg()

    def remove(self) -> None:
        for undo in self._undo.values():
            undo()
        self._undo.clear()

    def _new(self) -> Watched:
        def committed(commit: Commit) -> None:
            if self._test() is not None:
                self._found.append(commit)

        return Watched(committed, self._said)

    def _said(self, statement: Statement) -> None:
        """Note, or refuse, what a connection outside of the test's transaction cannot see."""
        test = self._test()
        if test is None:
            return
        if statement.name == "listen":
            test.listens_at = origin()
        for table in sorted(statement.read_tables & test.tables):
            test.doubt(IsolationError.read_past(test.id, table, origin()), self._target.strict)

    # -- asyncpg --------------------------------------------------------------------------------------

    def _watch_asyncpg(self) -> Callable[[], None]:
        from asyncpg import connect_utils  # noqa: PLC0415 - the project may have no asyncpg

        module: Any = connect_utils
        original = module._connect  # what connect(), and pools, end in
        classes: dict[type, type] = {}

        async def connect(*, connection_class: type, **options: Any) -> Any:
            if _own.get():
                return await original(connection_class=connection_class, **options)
            if connection_class not in classes:
                classes[connection_class] = _watched_class(connection_class, self._database, self._new)
            return await original(connection_class=classes[connection_class], **options)

        module._connect = connect

        def undo() -> None:
            module._connect = original

        return undo

    # -- psycopg --------------------------------------------------------------------------------------

    def _watch_psycopg(self) -> Callable[[], None]:
        import psycopg  # noqa: PLC0415 - it has been imported already

        originals: dict[Any, Any] = {}
        classes: tuple[Any, ...] = (psycopg.Connection, psycopg.AsyncConnection)
        for cls in classes:
            originals[cls] = cls.__dict__.get("_connect_gen")
            cls._connect_gen = classmethod(self._noticing(cls._connect_gen.__func__))

        def undo() -> None:
            for cls, original in originals.items():
                if original is None:
                    del cls._connect_gen
                else:
                    cls._connect_gen = original

        return undo

    def _noticing(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def connect_gen(cls: Any, *args: Any, **options: Any) -> Any:
            connection = yield from original(cls, *args, **options)
            if not _own.get() and connection.info.dbname == self._database:
                _watch_statements(connection, self._new())
            return connection

        return connect_gen


def _watched_class(base: type, database: str, new: Callable[[], Watched]) -> type:
    """A subclass of ``base``, an `asyncpg.Connection`, whose statements are noted."""

    def noting(name: str) -> Callable[..., Any]:
        original = getattr(base, name)

        def call(self: Any, text: str, *args: Any, **options: Any) -> Any:
            if self._params.database == database:
                if self._watched is None:
                    self._watched = new()
                if name.startswith("copy"):
                    self._watched.sent("COPY", writes=True, open_=self.is_in_transaction())
                else:
                    self._watched.sent(text, open_=self.is_in_transaction())
            return original(self, text, *args, **options)

        return call

    def init(self: Any, *args: Any, **options: Any) -> None:
        self._watched = None
        base.__init__(self, *args, **options)  # type: ignore[misc]  # of the class that is being made

    methods = {name: noting(name) for name in _ASYNCPG_METHODS if hasattr(base, name)}
    own = {"__slots__": ("_watched",), "__module__": base.__module__, "__init__": init}
    return type(base.__name__, (base,), {**own, **methods})


def _watch_statements(connection: Any, watched: Watched) -> None:
    """Note the statements of ``connection``, one of psycopg, and its commits."""
    from pgharness.isolation.psycopg_cursors import text_of  # noqa: PLC0415 - loads psycopg

    original = connection._exec_command  # what commit() and rollback() end in

    def note(query: Any) -> None:
        watched.sent(text_of(query, connection), open_=None if connection.autocommit else True)

    def exec_command(command: Any, *args: Any, **options: Any) -> Any:
        result = yield from original(command, *args, **options)
        note(command)
        return result

    connection._exec_command = exec_command
    for factory in ("cursor_factory", "server_cursor_factory"):
        setattr(connection, factory, _noting_cursor(getattr(connection, factory), note))


def _noting_cursor(base: Any, note: Callable[[Any], None]) -> type:
    """A subclass of ``base``, a cursor of psycopg, that notes what it is about to send."""

    def start_query(self: Any, query: Any = None) -> Any:
        if query is not None:
            note(query)
        yield from base._start_query(self, query)

    def start_copy_gen(self: Any, statement: Any, *args: Any) -> Any:
        note(statement)
        yield from base._start_copy_gen(self, statement, *args)

    methods = {"_start_query": start_query, "_start_copy_gen": start_copy_gen}
    return type(base.__name__, (base,), {"__module__": base.__module__, **methods})
