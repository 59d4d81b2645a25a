"""Connections of async drivers end with the loop that they were opened on, and nothing is said of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.support.joined import ONE, Joined


@pytest.fixture(params=["asyncpg", "psycopg"])
def make(request: pytest.FixtureRequest, joined: Joined) -> Callable[[], AsyncEngine]:
    url: str = getattr(joined, f"{request.param}_url")
    return lambda: create_async_engine(url)


@pytest.fixture(autouse=True)
def _nothing_is_said(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING):
        yield
    assert caplog.text == ""


async def pooled(engine: AsyncEngine) -> Any:
    """The connection of the driver that has gone back to the pool."""
    async with engine.connect() as connection:
        await connection.execute(ONE)
        return (await connection.get_raw_connection()).driver_connection


def is_closed(connection: Any) -> bool:
    asked = getattr(connection, "is_closed", None)
    return bool(asked() if asked is not None else connection.closed)


def test_a_pool_connects_anew_on_the_next_loop(joined: Joined, make: Callable[[], AsyncEngine]) -> None:
    engine = make()
    seen = []
    with joined.test():
        for _ in range(3):
            seen.append(asyncio.run(pooled(engine)))
            assert is_closed(seen[-1])
    with joined.test("test_y"):
        seen.append(asyncio.run(pooled(engine)))

    assert len(set(map(id, seen))) == 4


def test_a_loop_ends_its_own_alone(joined: Joined, make: Callable[[], AsyncEngine]) -> None:
    one, other = make(), make()
    with joined.test(), asyncio.Runner() as outer:
        kept = outer.run(pooled(one))
        with asyncio.Runner() as inner:
            ended = inner.run(pooled(other))

        assert (is_closed(kept), is_closed(ended)) == (False, True)
        assert outer.run(pooled(one)) is kept


def test_a_loop_that_ends_without_a_word(joined: Joined, make: Callable[[], AsyncEngine]) -> None:
    engine = make()
    with joined.test():
        loop = asyncio.new_event_loop()
        left = loop.run_until_complete(pooled(engine))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
        found = asyncio.run(pooled(engine))

    assert left is not found


def test_in_another_test_a_loop_that_still_runs_keeps_its_own(
    joined: Joined, make: Callable[[], AsyncEngine]
) -> None:
    engine = make()

    async def two_loops() -> tuple[Any, Any]:
        with joined.test("test_one"):
            left = await pooled(engine)
        with joined.test("test_two"):
            found = await asyncio.to_thread(asyncio.run, pooled(engine))
        return left, found

    left, found = asyncio.run(two_loops())

    assert left is not found
    assert is_closed(left)


def test_loops_that_have_ended_are_forgotten(joined: Joined, make: Callable[[], AsyncEngine]) -> None:
    engine = make()
    with joined.test():
        for _ in range(5):
            asyncio.run(pooled(engine))

    assert len(joined.worker.places.pools) == 1


def test_what_was_open_at_the_end_of_the_loop_is_undone(
    joined: Joined, make: Callable[[], AsyncEngine]
) -> None:
    engine = make()

    async def leave_open() -> None:
        connection = await engine.connect()
        await connection.execute(text("CREATE TABLE kept (x int)"))
        global left  # noqa: PLW0603 - as an app may
        left = connection

    async def look() -> object:
        async with engine.connect() as connection:
            return (await connection.execute(text("SELECT to_regclass('kept')"))).scalar()

    with joined.test():
        asyncio.run(leave_open())
        assert asyncio.run(look()) is None
        with asyncio.Runner() as runner:
            runner.run(left.invalidate())


left: Any = None
