"""What a test leaves behind is laid at its own door, and no other test sees it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.errors import IsolationError
from tests.support.joined import ONE, Joined, leaving, refused

INSERT = "INSERT INTO kept VALUES (1)"


@pytest.fixture
def joined_schema() -> str:
    return "CREATE TABLE kept (x int)"


# -- the test's own transaction --------------------------------------------------------------------------

SCRIPTS = {
    f"{INSERT}; COMMIT": 1,
    f"{INSERT}; COMMIT; BEGIN; INSERT INTO kept VALUES (2); ROLLBACK": 1,
    f"BEGIN; {INSERT}; ROLLBACK; SELECT 1": 0,
    f"COMMIT; BEGIN; {INSERT}; COMMIT": 1,
}
COUNT = "SELECT count(*) FROM kept"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_ends_the_transactions_of_its_connection_alone(
    joined: Joined, engine: Engine, beside: Engine, script: str
) -> None:
    with joined.test(), engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        raw.autocommit = True
        raw.execute(script)
        assert raw.execute(COUNT).fetchone() == (SCRIPTS[script],)

    with beside.connect() as connection:
        assert connection.execute(text(COUNT)).scalar() == 0


@pytest.mark.parametrize("script", SCRIPTS)
async def test_the_same_by_asyncpg(joined: Joined, async_engine: AsyncEngine, script: str) -> None:
    with joined.test():
        async with async_engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await raw.execute(script)
            assert await raw.fetchval(COUNT) == SCRIPTS[script]


async def test_a_procedure_that_commits_needs_real_commits(joined: Joined, async_engine: AsyncEngine) -> None:
    sentence = "test_x: PostgreSQL refused a statement inside the test's transaction: COMMIT in a DO block"
    with leaving(joined, sentence):
        async with async_engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection
            with refused(sentence):
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

    with joined.test("test_y"), pytest.raises(IsolationError) as again:
        loop.run(end(task))
    assert again.value.failed.startswith(f"test_y: the task {name}")


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
