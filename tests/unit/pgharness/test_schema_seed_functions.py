"""What a seed is given, read from its signature."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from pgharness.schema.explain import JobError
from pgharness.schema.seed_functions import argument, call

if TYPE_CHECKING:
    from sqlalchemy.ext import asyncio

Function = Callable[..., Any]


class Own(AsyncSession): ...


async def bare_async(db): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - bare is the point
async def session(db: AsyncSession, count: int = 1, *, loud: bool = False) -> None: ...
async def own(db: Annotated[Own, "a marker"]) -> None: ...
async def for_type_checkers(db: asyncio.AsyncConnection) -> None: ...
async def nothing(count: int = 1, **kwargs: int) -> None: ...
def bare(db): ...  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - bare is the point
def sync_session(*, db: int = 1, **kwargs: int) -> None: ...
def connection(db: Connection, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (bare_async, AsyncSession),
        (session, AsyncSession),
        (own, Own),
        (for_type_checkers, AsyncConnection),
        (nothing, None),
        (bare, Session),
        (sync_session, None),
        (connection, Connection),
    ],
)
def test_by_annotation_else_a_session(function: Function, wanted: type | None) -> None:
    assert argument(function) is wanted


def two(db: Session, count: int) -> None: ...
def keyword(*, db: Session) -> None: ...
def url(db: str) -> None: ...
def unknown(db: asyncio.AsyncEngine) -> None: ...
def mixed(db: AsyncSession) -> None: ...
async def mixed_too(db: Connection) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (two, "it asks for db, count; a seed is given one session or connection."),
        (keyword, "it asks for db; a seed is given one session or connection."),
        (url, "it asks for str, which is no session or connection."),
        (unknown, "it asks for asyncio.AsyncEngine, which is no session or connection."),
        (mixed, "it is not `async def` and asks for AsyncSession."),
        (mixed_too, "it is `async def` and asks for Connection."),
    ],
)
def test_what_no_seed_is_given(function: Function, reason: str) -> None:
    with pytest.raises(JobError) as caught:
        argument(function)

    assert (caught.value.kind, caught.value.details) == ("no seed", {"reason": reason})


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("nowhere_at_all:load", "there is no module 'nowhere_at_all'."),
        ("json:load_it", "json has no attribute 'load_it'."),
        ("json.decoder:NaN", "it is a float, not a function."),
    ],
)
def test_what_is_not_there(target: str, reason: str) -> None:
    job = {"seeds": [target], "url": "", "async_driver": "asyncpg"}

    with pytest.raises(JobError) as caught:
        call(job)

    assert (caught.value.details, job["seed"]) == ({"reason": reason}, target)
