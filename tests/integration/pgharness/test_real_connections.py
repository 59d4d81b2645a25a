"""Real connections that pools keep are ended while their loop can still do so."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pgharness.fixtures import Database
from tests.support.joined import Joined


@pytest.fixture
def joined(pg_empty_database: Database) -> Iterator[Joined]:
    made = Joined(pg_empty_database.url)  # and not in a test: connections are real
    yield made
    made.close()


@pytest.fixture
def engine(pg_empty_database: Database) -> AsyncEngine:
    return create_async_engine(pg_empty_database.asyncpg_url)


async def pooled(engine: AsyncEngine) -> socket.socket:
    """The socket of a connection that has gone back to the pool."""
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        found: socket.socket = raw.driver_connection._transport.get_extra_info("socket")  # type: ignore[union-attr]  # there is one
    return found


def test_at_the_end_of_a_test_from_outside_its_loop(joined: Joined, engine: AsyncEngine) -> None:
    with asyncio.Runner() as runner:
        found = runner.run(pooled(engine))
        assert found.fileno() > 0

        joined.engines.real.end()
        joined.engines.generation += 1  # as the replacement of the database does

        assert found.fileno() == -1
        assert runner.run(pooled(engine)).fileno() > 0  # the pool connects anew
        joined.engines.real.end()


def test_before_a_loop_ends_its_own_alone(joined: Joined, engine: AsyncEngine) -> None:
    other = create_async_engine(engine.url)
    with asyncio.Runner() as outer:
        kept = outer.run(pooled(engine))
        with asyncio.Runner() as inner:
            ended = inner.run(pooled(other))

            inner.run(joined.engines.real.end_here())

        assert (kept.fileno() > 0, ended.fileno()) == (True, -1)
        joined.engines.real.end()
        assert kept.fileno() == -1
