"""Connections that the server closes, loops and statements that wait for each other: what is said of them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from pgharness.errors import IsolationError
from pgharness.fixtures import Database
from tests.support.joined import ONE, Joined, open_transaction, refused, select_one

TWO_LOOPS = "a second event loop asked for the database while the test's own loop is blocked or idle."


LOST = "test_x: the connection that holds the test's transaction was closed by the server."


def end_connections(url: str) -> None:
    """End all connections to the database at ``url``, as an administrator would, past the harness."""
    administrator = make_url(url).set(database="postgres")
    with create_engine(administrator, poolclass=NullPool).connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": make_url(url).database},
        )


def test_psycopg_a_connection_that_the_server_closed(
    joined: Joined, engine: Engine, pg_empty_database: Database
) -> None:
    with joined.test():
        connection = engine.connect()
        connection.execute(ONE)
        end_connections(pg_empty_database.psycopg_url)
        with pytest.raises(OperationalError):
            connection.execute(ONE)
        with refused(LOST):
            engine.connect()
        connection.close()
    with joined.test(), engine.connect() as connection:
        assert connection.execute(ONE).scalar() == 1


@pytest.mark.parametrize("on", ["the harness's loop", "the tests' loop"])
def test_asyncpg_a_connection_that_the_server_closed(
    joined: Joined,
    async_engine: AsyncEngine,
    pg_empty_database: Database,
    loop: asyncio.Runner,
    on: str,
) -> None:
    if on == "the tests' loop":
        with joined.test():
            loop.run(select_one(async_engine))
    with joined.test():
        connection = loop.run(open_transaction(async_engine))
        end_connections(pg_empty_database.psycopg_url)
        loop.run(asyncio.sleep(0.1))
        with refused(LOST):
            loop.run(connection.execute(ONE))
        loop.run(connection.close())
    with joined.test():
        assert loop.run(select_one(async_engine)) == 1


def test_a_client_on_another_loop(
    pg_empty_database: Database, async_engine: AsyncEngine, loop: asyncio.Runner
) -> None:
    joined = Joined(pg_empty_database.url, lock_timeout=0.3)

    async def blocked() -> object:
        """Block this loop until another has asked, as a synchronous client in an async test does."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(select_one(async_engine))).result()

    async def free() -> object:
        return await asyncio.to_thread(lambda: asyncio.run(select_one(async_engine)))

    try:
        with joined.test("test_one"):
            assert loop.run(select_one(async_engine)) == 1
            assert loop.run(blocked()) == 1  # on the harness's own loop: this one is not known yet
        with joined.test("test_two"):
            assert loop.run(select_one(async_engine)) == 1
            assert loop.run(free()) == 1
            with refused(f"test_two: {TWO_LOOPS}"):
                loop.run(blocked())
            with refused(f"test_two: {TWO_LOOPS}"):
                asyncio.run(select_one(async_engine))
    finally:
        joined.close()


def waited(statement: str) -> str:
    sessions = "the session of HERE waited 0.2 s for the one of HERE"
    return f"test_x: {sessions}, whose statement has not ended: {statement!r}."


def test_psycopg_a_statement_that_waits_too_long_for_another(
    engine: Engine, pg_empty_database: Database
) -> None:
    joined = Joined(pg_empty_database.url, lock_timeout=0.2)
    try:
        with joined.test(), engine.connect() as one, engine.connect() as other:
            one.execute(ONE)
            other.execute(ONE)
            lock: Any = one.connection.driver_connection.lock  # type: ignore[union-attr]  # there is one
            with lock, refused(waited("SELECT 1")):
                other.execute(ONE)
    finally:
        joined.close()


async def test_asyncpg_a_statement_that_waits_too_long_for_another(
    async_engine: AsyncEngine, pg_empty_database: Database
) -> None:
    joined = Joined(pg_empty_database.url, lock_timeout=0.2)
    sleep = "SELECT pg_sleep(1)"
    try:
        with joined.test():
            async with async_engine.connect() as one, async_engine.connect() as other:
                await one.execute(ONE)
                await other.execute(ONE)
                sleeping = asyncio.create_task(one.execute(text(sleep)))
                await asyncio.sleep(0.05)  # pg_sleep is on its way
                with refused(waited(sleep)):
                    await other.execute(ONE)
                await sleeping
                assert (await other.execute(ONE)).scalar() == 1
    finally:
        joined.close()


VAIN = "test_x: 'UPDATE held SET x = 2', of the session of HERE, waited 0.2 s for a lock in PostgreSQL."
UPDATE = text("UPDATE held SET x = 2")


@pytest.fixture
def held(pg_empty_database: Database) -> Iterator[str]:
    """A row that a connection past SQLAlchemy has locked; its process, as messages name it."""
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


def test_psycopg_a_lock_of_a_connection_that_has_not_joined(
    engine: Engine, pg_empty_database: Database, held: str
) -> None:
    joined = Joined(pg_empty_database.url, lock_timeout=0.2)
    try:
        with joined.test(), engine.connect() as connection:
            with refused(VAIN) as raised:
                connection.execute(UPDATE)
            connection.rollback()
            connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(
                OperationalError, match="lock timeout"
            ):  # the app's own limit is its own affair
                connection.execute(UPDATE)
    finally:
        joined.close()
    check_holder(raised.value, held)


async def test_asyncpg_a_lock_of_a_connection_that_has_not_joined(
    async_engine: AsyncEngine, pg_empty_database: Database, held: str
) -> None:
    joined = Joined(pg_empty_database.url, lock_timeout=0.2)
    try:
        with joined.test():
            async with async_engine.connect() as connection:
                with refused(VAIN) as raised:
                    await connection.execute(UPDATE)
                await connection.rollback()
                assert (await connection.execute(text("SELECT x FROM held"))).scalar() == 1
    finally:
        joined.close()
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
