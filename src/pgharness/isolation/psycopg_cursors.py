"""psycopg's cursors, telling their virtual connection what they are about to send."""

from __future__ import annotations

import shlex
from collections.abc import Generator, Iterable
from typing import Any

import psycopg

from pgharness.errors import IsolationError
from pgharness.isolation.origin import origin
from pgharness.isolation.statements import SAVEPOINTS, Statement, classify


class _TextMixin:
    _conn: Any

    def _start_query(self, query: Any = None) -> Generator[Any, Any, None]:
        self._conn._query_text = text_of(query, self._conn) if query is not None else None
        yield from super()._start_query(query)  # type: ignore[misc]  # the cursor's it is mixed into

    def _execute_gen(self, query: Any, params: Any = None, **options: Any) -> Generator[Any, Any, None]:
        conn = self._conn
        text = text_of(query, conn)
        statement = classify(text)
        if statement.kind in ("plain", "empty", "refused"):
            conn._query_args = params
            if statement.session_setting:
                conn._current_link().know_defaults({statement.session_setting: ""})
            try:
                yield from super()._execute_gen(query, params, **options)  # type: ignore[misc]  # the same
                yield from conn._settle()
            except psycopg.errors.LockNotAvailable as error:
                link = conn._current_link()
                transaction = conn._transaction or link.single
                if not link.state.waited_in_vain(transaction, error.diag.message_primary or ""):
                    raise
                raise link.locked() from error
            except psycopg.errors.ActiveSqlTransaction as error:
                if conn._transaction is not None:
                    raise  # outside a test it would have been refused as well
                test = conn._current_link().state.stack.test
                raise IsolationError.not_in_transaction(test, error.diag.message_primary or "") from error
            if statement.session_setting:
                conn._changed(statement.session_setting)
            return
        if statement.kind not in SAVEPOINTS:
            yield from self._by_hand(statement, text)
        else:
            yield from conn._control_gen(statement, text)
        self._reset()  # type: ignore[attr-defined]  # the same

    def _by_hand(self, statement: Statement, text: str) -> Generator[Any, Any, None]:
        """BEGIN, COMMIT or ROLLBACK sent as SQL: right on an autocommit connection, and only there."""
        conn = self._conn
        if statement.kind == "begin" and conn._autocommit and conn._transaction is None:
            yield from conn._control_gen(statement, text)
            conn._begun_by_hand = True
        elif statement.kind in ("commit", "rollback") and conn._begun_by_hand:
            yield from conn._control_gen(statement, text)
        else:
            raise IsolationError.raw_control(conn._current_link().state.stack.test, text.strip(), origin())


# What precedes a statement cannot be sent in pipeline mode, in which psycopg's own executemany() is.


class _ManyMixin(_TextMixin):
    def executemany(self, query: Any, params_seq: Iterable[Any], *, returning: bool = False) -> None:
        with self._conn.lock:
            self._conn.wait(_many(self, query, params_seq, returning))


class _AsyncManyMixin(_TextMixin):
    async def executemany(self, query: Any, params_seq: Iterable[Any], *, returning: bool = False) -> None:
        async with self._conn.lock:
            await self._conn.wait(_many(self, query, params_seq, returning))


def _many(cursor: Any, query: Any, params_seq: Iterable[Any], returning: bool) -> Generator[Any, Any, None]:
    yield from cursor._executemany_gen_no_pipeline(query, params_seq, returning)
    yield from cursor._conn._settle()


_WITH_TEXT: dict[Any, Any] = {}


def with_text(factory: Any) -> Any:
    """``factory``, a cursor class, with `_TextMixin` before it."""
    if factory not in _WITH_TEXT:
        if issubclass(factory, psycopg.ServerCursor | psycopg.AsyncServerCursor):
            mixin: type = _TextMixin  # a server-side cursor refuses executemany()
        else:
            mixin = _AsyncManyMixin if issubclass(factory, psycopg.AsyncCursor) else _ManyMixin
        made = issubclass(factory, _TextMixin)
        _WITH_TEXT[factory] = factory if made else type(factory.__name__, (mixin, factory), {})
    return _WITH_TEXT[factory]


def text_of(query: Any, connection: Any) -> str:
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode()
    as_string = getattr(query, "as_string", None)
    return as_string(connection) if as_string is not None else psycopg.sql.as_string(query, connection)


def settings_of(options: str | None) -> dict[str, str]:
    """The run-time parameters in libpq's ``options``: ``-c name=value`` and ``-cname=value``."""
    words = iter(shlex.split(options or ""))
    found: dict[str, str] = {}
    for word in words:
        pair = next(words, "") if word == "-c" else word.removeprefix("-c").removeprefix("--")
        name, equals, value = pair.partition("=")
        if equals:
            found[name.replace("-", "_")] = value
    return found
