"""What connections opened past SQLAlchemy commit is found, and laid at the door of the test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import psycopg
import pytest

from pgharness.fixtures import Database
from tests.integration.pgharness.conftest import MakeProject
from tests.support.joined import Joined, leaving

INSERT = "INSERT INTO kept VALUES (1)"


@pytest.fixture
def joined_schema() -> str:
    return "CREATE TABLE kept (x int)"


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
