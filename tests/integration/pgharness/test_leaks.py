"""What a test leaves behind is laid at its own door, and no other test sees it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.errors import IsolationError
from pgharness.fixtures import Database
from tests.integration.pgharness.conftest import MakeProject
from tests.support.joined import Joined

HERE = r"tests/integration/pgharness/test_leaks\.py:\d+ in \w+"
ONE = text("SELECT 1")
INSERT = "INSERT INTO kept VALUES (1)"


@pytest.fixture
def joined_schema() -> str:
    return "CREATE TABLE kept (x int)"


@contextlib.contextmanager
def leaving(joined: Joined, sentence: str, *checked: str, rows: bool = False) -> Iterator[None]:
    """The test fails at its end with ``sentence``, in which HERE is a place; ``rows`` may have stayed."""
    with pytest.raises(IsolationError) as raised, joined.test():
        yield
    error = raised.value
    assert re.fullmatch(re.escape(sentence).replace("HERE", HERE), error.failed), error.failed
    assert [re.sub(HERE, "HERE", line) for line in error.checked] == list(checked)
    assert error.leaked_rows == rows


# -- the test's own transaction --------------------------------------------------------------------------

PAST = "test_x: the test's transaction was committed or rolled back past the harness."
SCRIPTS = [f"{INSERT}; COMMIT", f"{INSERT}; COMMIT; BEGIN", "ROLLBACK; SELECT 1", "COMMIT; BEGIN; SELECT 1"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_psycopg_a_script_that_ends_the_transaction(joined: Joined, engine: Engine, script: str) -> None:
    last = f"the last that may have: {script!r} sent at HERE"
    with leaving(joined, PAST, last, rows=True), engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        raw.execute(script)


@pytest.mark.parametrize("script", SCRIPTS)
async def test_asyncpg_a_script_that_ends_the_transaction(
    joined: Joined, async_engine: AsyncEngine, script: str
) -> None:
    with leaving(joined, PAST, f"the last that may have: {script!r} sent at HERE", rows=True):
        async with async_engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.execute(script)


async def test_a_procedure_cannot_end_it(joined: Joined, async_engine: AsyncEngine) -> None:
    with joined.test():
        async with async_engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            with pytest.raises(asyncpg.InvalidTransactionTerminationError):
                await raw.execute("DO $$ BEGIN COMMIT; END $$")


# -- advisory locks --------------------------------------------------------------------------------------

LOCKED = "test_x: an advisory lock of the session, taken at HERE, is still held as the test ends."
LOCK = text("SELECT pg_advisory_lock(7)")
LOCKS = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")


def test_psycopg_an_advisory_lock(joined: Joined, engine: Engine) -> None:
    with leaving(joined, LOCKED), engine.begin() as connection:
        connection.execute(LOCK)

    with joined.test(), engine.begin() as connection:
        assert connection.execute(LOCKS).scalar() == 0


async def test_asyncpg_an_advisory_lock(joined: Joined, async_engine: AsyncEngine) -> None:
    with leaving(joined, LOCKED):
        async with async_engine.begin() as connection:
            await connection.execute(LOCK)


def test_advisory_locks_that_end_are_no_leak(joined: Joined, engine: Engine) -> None:
    with joined.test(), engine.begin() as connection:
        connection.execute(LOCK)
        connection.execute(text("SELECT pg_advisory_unlock(7), pg_advisory_xact_lock(8)"))


# -- what is left open -----------------------------------------------------------------------------------

OPEN = "test_x: a transaction is still open as the test ends."


def test_psycopg_a_transaction_left_open(joined: Joined, engine: Engine) -> None:
    with leaving(joined, OPEN, "begun at HERE"):
        left = engine.connect()
        left.execute(ONE)
    left.close()


def test_asyncpg_a_transaction_left_open(
    joined: Joined, async_engine: AsyncEngine, loop: asyncio.Runner
) -> None:
    async def begin() -> Any:
        connection = await async_engine.connect()
        await connection.execute(ONE)
        return connection

    with leaving(joined, OPEN, "begun at HERE"):
        left = loop.run(begin())
    loop.run(left.close())


def test_a_connection_without_a_transaction_may_stay_open(joined: Joined, engine: Engine) -> None:
    with joined.test():
        left = engine.connect()
        left.execute(ONE)
        left.commit()
    left.close()


def test_a_task_that_is_not_done(joined: Joined, async_engine: AsyncEngine, loop: asyncio.Runner) -> None:
    used, go_on = asyncio.Event(), asyncio.Event()

    async def job() -> None:
        async with async_engine.connect() as connection:
            await connection.execute(ONE)
        used.set()
        await go_on.wait()
        async with async_engine.connect() as connection:
            await connection.execute(ONE)

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(job())
        await used.wait()
        return task

    async def end(task: asyncio.Task[None]) -> None:
        go_on.set()
        await task

    name = "test_a_task_that_is_not_done.<locals>.job() at tests/integration/pgharness/test_leaks.py:"
    pending = "test_x: a task that uses the database is not done as the test ends."
    with pytest.raises(IsolationError) as raised, joined.test():
        task = loop.run(begin())
    assert (raised.value.failed, len(raised.value.checked)) == (pending, 1)
    assert raised.value.checked[0].startswith(f"not done: {name}")

    with joined.test("test_y"), pytest.raises(IsolationError) as refused:
        loop.run(end(task))
    assert refused.value.failed.startswith(f"test_y: the task {name}")


def test_a_task_that_ends_in_time_is_no_leak(
    joined: Joined, async_engine: AsyncEngine, loop: asyncio.Runner
) -> None:
    used = asyncio.Event()

    async def job() -> None:
        async with async_engine.connect() as connection:
            await connection.execute(ONE)
            used.set()
            await asyncio.sleep(0.01)
            await connection.execute(ONE)

    async def begin() -> asyncio.Task[None]:
        task = asyncio.create_task(job())
        await used.wait()
        return task

    with joined.test():
        task = loop.run(begin())
    assert task.done()


# -- connections past SQLAlchemy -------------------------------------------------------------------------


def committed(statement: str) -> str:
    return f"test_x: {statement!r} was committed at HERE, on a connection opened past SQLAlchemy."


async def in_asyncpgs_transaction(url: str) -> None:
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(INSERT)
    await connection.close()


async def in_asyncpgs_autocommit(url: str) -> None:
    async with asyncpg.create_pool(url, min_size=1) as pool, pool.acquire() as connection:
        await connection.fetch(INSERT)


async def in_a_prepared_statement(url: str) -> None:
    connection = await asyncpg.connect(url)
    await (await connection.prepare(INSERT)).fetch()
    await connection.close()


async def in_psycopgs_block(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(INSERT)


async def in_psycopgs_autocommit(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(INSERT)


async def in_psycopgs_transaction(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction():
        connection.execute(INSERT)


Past = Callable[[str], Awaitable[None]]


@pytest.mark.parametrize(
    "past",
    [
        in_asyncpgs_transaction,
        in_asyncpgs_autocommit,
        in_a_prepared_statement,
        in_psycopgs_block,
        in_psycopgs_autocommit,
        in_psycopgs_transaction,
    ],
)
async def test_a_commit_past_sqlalchemy(joined: Joined, pg_empty_database: Database, past: Past) -> None:
    with leaving(joined, committed(INSERT), rows=True):
        await past(pg_empty_database.url)


async def asyncpg_copies(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.copy_records_to_table("kept", records=[(1,)])
    await connection.close()


def psycopg_copies(url: str) -> None:
    with psycopg.connect(url) as connection, connection.cursor().copy("COPY kept FROM STDIN") as copy:
        copy.write_row((1,))


async def test_a_copy_past_sqlalchemy(joined: Joined, pg_empty_database: Database) -> None:
    with leaving(joined, committed("COPY"), rows=True):
        await asyncpg_copies(pg_empty_database.url)
    with leaving(joined, committed("COPY kept FROM STDIN"), rows=True):
        psycopg_copies(pg_empty_database.url)


async def asyncpg_reads_and_rolls_back(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.fetch("SELECT * FROM kept")
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(INSERT)
    await transaction.rollback()
    await connection.close()


async def psycopg_reads_and_rolls_back(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("SELECT * FROM kept")
        connection.commit()
        connection.execute(INSERT)
        connection.rollback()
    with psycopg.connect(url, autocommit=True) as connection, connection.transaction(force_rollback=True):
        connection.execute(INSERT)


async def elsewhere(url: str) -> None:
    other = url.rpartition("/")[0] + "/postgres"
    connection = await asyncpg.connect(other)
    await connection.execute("CREATE TEMPORARY TABLE t (x int)")
    await connection.close()
    with psycopg.connect(other) as second:
        second.execute("CREATE TEMPORARY TABLE t (x int)")


@pytest.mark.parametrize("past", [asyncpg_reads_and_rolls_back, psycopg_reads_and_rolls_back, elsewhere])
async def test_what_leaves_nothing_past_sqlalchemy(
    joined: Joined, pg_empty_database: Database, past: Past
) -> None:
    with joined.test():
        await past(pg_empty_database.url)


# -- the next test ---------------------------------------------------------------------------------------

LEAKING = """
import asyncpg, pytest, shop
from sqlalchemy import text

async def test_commits_past_sqlalchemy(pg_database):
    connection = await asyncpg.connect(pg_database.url)
    await connection.execute("CREATE TABLE left_behind (x int)")
    await connection.close()

async def test_sees_nothing_of_it(db_session):
    assert (await db_session.execute(text("SELECT to_regclass('left_behind')"))).scalar() is None

async def test_fails_and_leaves_a_session_open(pg_database):
    from sqlalchemy.ext.asyncio import create_async_engine
    global left
    left = await create_async_engine(pg_database.asyncpg_url).connect()
    await left.execute(text("SELECT 1"))
    assert False, "its own failure"

def test_sets_an_override_without_the_fixture(pg_database):
    shop.app.dependency_overrides[shop.currency] = lambda: "USD"

async def test_the_override_is_gone(client):
    assert (await client.get("/price")).json() == "42 EUR"
"""


def test_no_other_test_sees_it(project: MakeProject) -> None:
    adopter = project("tiers")
    adopter.write("tests/api/test_leaking.py", LEAKING)

    result = adopter.pytest("tests/api/test_leaking.py", "-p", "no:randomly", "-W", "ignore")

    assert "1 failed, 4 passed, 1 error" in result.output, result.output
