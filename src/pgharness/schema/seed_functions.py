"""Calls the functions of `pg_seed`, in the schema process. Never imported by the parent."""

from __future__ import annotations

import asyncio
import inspect
import typing
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pgharness.schema import tasks
from pgharness.schema.explain import JobError

Function = Callable[..., Any]
_KINDS: dict[str, type] = {
    "AsyncSession": AsyncSession,
    "AsyncConnection": AsyncConnection,
    "Session": Session,
    "Connection": Connection,
}
_ASYNC = (AsyncSession, AsyncConnection)


def call(job: dict[str, Any]) -> None:
    """Call each of ``job["seeds"]``; ``job["seed"]`` is the one being called, for messages."""
    with asyncio.Runner() as runner:  # one loop for all: the app's own engines may hold connections
        for target in job["seeds"]:
            job["seed"] = target
            function: Function = tasks.load(target, "no seed")
            if not callable(function):
                raise JobError("no seed", reason=f"it is a {type(function).__name__}, not a function.")
            wanted = argument(function)
            if inspect.iscoroutinefunction(function):
                url = tasks.with_driver(job["url"], job["async_driver"])
                runner.run(_call_async(function, wanted, url))
            elif (driver := tasks.sync_driver()) or wanted is None:
                _call_plain(function, wanted, tasks.with_driver(job["url"], driver))
            else:
                runner.run(_call_over_asyncpg(function, wanted, tasks.with_driver(job["url"], "asyncpg")))


def argument(function: Function) -> type | None:
    """The class of what ``function`` is to be given, by its annotation, else a session; None for nothing.

    Raises:
        JobError: It takes more, something else, or a session that does not fit ``def`` or ``async def``.
    """
    needed = [
        parameter
        for parameter in _signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if not needed:
        return None
    if len(needed) > 1 or needed[0].kind is inspect.Parameter.KEYWORD_ONLY:
        names = ", ".join(parameter.name for parameter in needed)
        raise JobError("no seed", reason=f"it asks for {names}; a seed is given one session or connection.")
    is_async = inspect.iscoroutinefunction(function)
    annotation = needed[0].annotation
    if annotation is inspect.Parameter.empty:
        return AsyncSession if is_async else Session
    found = _class_of(annotation)
    if found is None:
        shown = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        raise JobError("no seed", reason=f"it asks for {shown}, which is no session or connection.")
    if issubclass(found, _ASYNC) != is_async:
        form = "`async def`" if is_async else "not `async def`"
        raise JobError("no seed", reason=f"it is {form} and asks for {found.__name__}.")
    return found


def _signature(function: Function) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # noqa: BLE001 - a name that is imported for type checkers only
        return inspect.signature(function)


def _class_of(annotation: Any) -> type | None:
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if isinstance(annotation, str):
        annotation = _KINDS.get(annotation.rpartition(".")[2])
    if isinstance(annotation, type) and issubclass(annotation, tuple(_KINDS.values())):
        return annotation
    return None


async def _call_async(function: Function, wanted: type | None, url: str) -> None:
    if wanted is None:
        await function()
        return
    engine = create_async_engine(url, poolclass=NullPool)
    made: Any = (
        wanted(engine, expire_on_commit=False) if issubclass(wanted, AsyncSession) else engine.connect()
    )
    async with made as given:
        await function(given)
        await given.commit()


def _call_plain(function: Function, wanted: type | None, url: str) -> None:
    if wanted is None:
        _checked(function())
        return
    engine = create_engine(url, poolclass=NullPool)
    made: Any = wanted(engine, expire_on_commit=False) if issubclass(wanted, Session) else engine.connect()
    with made as given:
        _checked(function(given))
        given.commit()


async def _call_over_asyncpg(function: Function, wanted: type, url: str) -> None:
    def call(connection: Connection) -> None:
        if not issubclass(wanted, Session):
            _checked(function(connection))
            connection.commit()
            return
        with wanted(connection, expire_on_commit=False) as session:
            _checked(function(session))
            session.commit()

    async with create_async_engine(url, poolclass=NullPool).connect() as connection:
        await connection.run_sync(call)


def _checked(result: object) -> None:
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()
        raise JobError("no seed", reason="it returned an awaitable, and is not `async def` itself.")
