"""Connections that the server closes, loops and statements that wait for each other: what is said of them."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from pgharness.errors import IsolationError
from pgharness.fixtures import Database
from tests.support.joined import ONE, Joined, leaving, open_transaction, refused, select_one

LOST = "test_x: the connection that holds the test's transaction was closed by the server."


def end_connections(database: str, url: str) -> None:
    """End all connections to ``database``, as an administrator would."""
    with create_engine(url, poolclass=NullPool).connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": database},
        )


def server(joined: Joined) -> str:
    """The maintenance database, past the proxy."""
    return joined.worker.server.address.url(driver="psycopg")


def test_psycopg_a_connection_that_the_server_closed(joined: Joined, engine: Engine) -> None:
    with leaving(joined, LOST):
        connection = engine.connect()
        connection.execute(ONE)
        end_connections(joined.name, server(joined))
        with refused(LOST):
            connection.execute(ONE)
        with engine.connect() as other, refused(LOST):
            other.execute(ONE)
        connection.close()
    with joined.test(), engine.connect() as connection:
        assert connection.execute(ONE).scalar() == 1


def test_asyncpg_a_connection_that_the_server_closed(
    joined: Joined, async_engine: AsyncEngine, loop: asyncio.Runner
) -> None:
    with leaving(joined, LOST):
        connection = loop.run(open_transaction(async_engine))
        end_connections(joined.name, server(joined))
        with refused(LOST):
            loop.run(connection.execute(ONE))
        loop.run(connection.close())
    with joined.test():
        assert loop.run(select_one(async_engine)) == 1


def test_clients_on_several_loops(joined: Joined, async_engine: AsyncEngine, loop: asyncio.Runner) -> None:
    async def blocked() -> object:
        """Block this loop until another has been answered, as a synchronous client in an async test does."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(select_one(async_engine))).result()

    async def free() -> object:
        return await asyncio.to_thread(lambda: asyncio.run(select_one(async_engine)))

    for name in ("test_one", "test_two"):
        with joined.test(name):
            assert loop.run(select_one(async_engine)) == 1
            assert loop.run(blocked()) == 1
            assert loop.run(free()) == 1
            assert asyncio.run(select_one(async_engine)) == 1


def waited(statement: str) -> str:
    sessions = "the session of HERE waited 0.2 s for the one of HERE"
    return f"test_x: {sessions}, whose statement has not ended: {statement!r}."


SLEEP = "SELECT pg_sleep(1)"


@pytest.mark.parametrize("joined_options", [{"lock_timeout": 0.2}])
def test_psycopg_a_statement_that_waits_too_long_for_another(joined: Joined, engine: Engine) -> None:
    with (
        leaving(joined, waited(SLEEP)),
        ThreadPoolExecutor(1) as pool,
        engine.connect() as one,
        engine.connect() as other,
    ):
        one.execute(ONE)
        other.execute(ONE)
        sleeping = pool.submit(one.execute, text(SLEEP))
        time.sleep(0.05)  # pg_sleep is on its way
        with refused(waited(SLEEP)):
            other.execute(ONE)
        sleeping.result()
        other.rollback()
        assert other.execute(ONE).scalar() == 1


@pytest.mark.parametrize("joined_options", [{"lock_timeout": 0.2}])
async def test_asyncpg_a_statement_that_waits_too_long_for_another(
    joined: Joined, async_engine: AsyncEngine
) -> None:
    with leaving(joined, waited(SLEEP)):
        async with async_engine.connect() as one, async_engine.connect() as other:
            await one.execute(ONE)
            await other.execute(ONE)
            sleeping = asyncio.create_task(one.execute(text(SLEEP)))
            await asyncio.sleep(0.05)  # pg_sleep is on its way
            with refused(waited(SLEEP)):
                await other.execute(ONE)
            await sleeping
            await other.rollback()
            assert (await other.execute(ONE)).scalar() == 1


VAIN = "test_x: 'UPDATE held SET x = 2', of the session of HERE, waited 0.2 s for a lock in PostgreSQL."
UPDATE = text("UPDATE held SET x = 2")


@pytest.fixture
def held(pg_empty_database: Database) -> Iterator[str]:
    """A row that a connection past the proxy has locked; its process, as messages name it."""
    with psycopg.connect(pg_empty_database.url, application_name="batch job") as connection:
        connection.execute("CREATE TABLE held (x int)")
        connection.execute("INSERT INTO held VALUES (1)")
        connection.commit()
        connection.execute("SELECT x FROM held FOR UPDATE")
        process = connection.info.backend_pid
        yield f"in a transaction: process {process} batch job, idle in transaction for TIME s"
        connection.rollback()


def check_holder(error: IsolationError, held: str) -> None:
    [found] = error.checked
    assert (
        re.sub(r"for [\d.]+ s", "for TIME s", found)
        == f"{held}, its last statement: SELECT x FROM held FOR UPDATE"
    )


@pytest.mark.parametrize("joined_options", [{"lock_timeout": 0.2}])
def test_psycopg_a_lock_of_a_connection_that_has_not_joined(
    joined: Joined, engine: Engine, held: str
) -> None:
    with leaving(joined, VAIN) as raised, engine.connect() as connection:
        with refused(VAIN):
            connection.execute(UPDATE)
        connection.rollback()
        connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):  # the app's own limit is its own affair
            connection.execute(UPDATE)
    check_holder(raised.value, held)


@pytest.mark.parametrize("joined_options", [{"lock_timeout": 0.2}])
async def test_asyncpg_a_lock_of_a_connection_that_has_not_joined(
    joined: Joined, async_engine: AsyncEngine, held: str
) -> None:
    with leaving(joined, VAIN) as raised:
        async with async_engine.connect() as connection:
            with refused(VAIN):
                await connection.execute(UPDATE)
            await connection.rollback()
            assert (await connection.execute(text("SELECT x FROM held"))).scalar() == 1
    check_holder(raised.value, held)


async def test_a_cancelled_statement_fails_its_transaction_alone(
    joined: Joined, async_engine: AsyncEngine
) -> None:
    with joined.test():
        async with async_engine.connect() as one, async_engine.connect() as other:
            await one.execute(text("CREATE TABLE t (x int)"))
            await one.commit()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(other.execute(text("SELECT pg_sleep(5)")), 0.05)
            assert (await one.execute(text("SELECT count(*) FROM t"))).scalar() == 0
