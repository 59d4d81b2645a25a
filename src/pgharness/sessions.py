"""The session behind ``db_session``: what it reads is what the database holds."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session
from sqlalchemy.pool import NullPool

from pgharness.server.background import background
from pgharness.web import loops

_CLOSE_SECONDS = 10.0
_DRIVERS = ("asyncpg", "psycopg")


def choose_driver(option: str, env: Iterable[str], connected: Iterable[str], *, plain: bool) -> str:
    """The driver of ``db_session``: ``option``; on ``auto`` that of ``env``, else of the app's engines.

    Where neither tells, a plain test gets psycopg if the project has imported it, others asyncpg.

    Args:
        option: The value of ``pg_driver``.
        env: The values of ``pg_env``.
        connected: The drivers of the engines that have connected, the first of them first.
        plain: The test is not async.
    """
    if option != "auto":
        return option
    text = " ".join(env)
    named = [name for name in _DRIVERS if name in text]
    if len(named) == 1:
        return named[0]
    for name in connected:
        if name in _DRIVERS:
            return name
    return "psycopg" if plain and "psycopg" in sys.modules else "asyncpg"


class _Fresh:
    """To be mixed into a `Session`, whose queries and `get` refresh the objects they return.

    Between two reads of a test the app has written through sessions of its own; SQLAlchemy would
    return what this session read first. Changes of the test's own are flushed before, as always;
    under ``no_autoflush`` nothing is refreshed, for they would be lost.
    """

    autoflush: bool

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        event.listen(self, "do_orm_execute", _refresh)

    def get(self, *args: Any, populate_existing: bool | None = None, **options: Any) -> Any:
        """As SQLAlchemy's, with ``populate_existing``; ``get_one`` goes through it."""
        inner: Any = super()
        return inner.get(*args, populate_existing=populate_existing or self.autoflush, **options)


def _classes(options: dict[str, Any]) -> tuple[type[AsyncSession], type[Session], dict[str, Any]]:
    """The classes that ``options`` ask for, SQLAlchemy's by default, and what else is in them.

    ``class_`` may be of either kind. The synchronous one, which does the work of both, refreshes.
    """
    others = dict(options)
    wanted: type = others.pop("class_", AsyncSession)
    is_async = issubclass(wanted, AsyncSession)
    outer: Any = wanted if is_async else AsyncSession
    inner: Any = others.pop("sync_session_class", outer.sync_session_class if is_async else wanted)
    return outer, type(f"Fresh{inner.__name__}", (_Fresh, inner), {}), others


def _refresh(state: ORMExecuteState) -> None:
    is_query = state.is_select and not (state.is_column_load or state.is_relationship_load)
    if is_query and state.session.autoflush:
        state.update_execution_options(populate_existing=True)


def sync_session(url: str, options: dict[str, Any]) -> Iterator[Session]:
    """A session for the length of a fixture."""
    engine = create_engine(url, poolclass=NullPool)
    _, session_class, others = _classes(options)
    with session_class(engine, **others) as session:
        yield session
    engine.dispose()


def async_session(url: str, options: dict[str, Any], *, joined: bool) -> Iterator[AsyncSession]:
    """An async session for the length of a fixture that is not async.

    ``joined`` says that its connection is virtual: that closes on any loop, a real one only on its own.
    """
    engine = create_async_engine(url, poolclass=NullPool)
    used: list[asyncio.AbstractEventLoop] = []

    def remember_loop(*_: object) -> None:
        used.append(asyncio.get_running_loop())

    event.listen(engine.sync_engine, "connect", remember_loop)
    session_class, inner, others = _classes(options)
    session = session_class(engine, sync_session_class=inner, **others)
    yield session
    loop = used[-1] if used else background.loop
    if loop.is_closed():  # that of an async fixture, which ends with it
        loop = background.loop
        if not joined:
            session.sync_session.expunge_all()
            return
    loops.run_on(loop, session.close(), _CLOSE_SECONDS)
