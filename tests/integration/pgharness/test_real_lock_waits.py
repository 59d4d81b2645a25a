"""Waits for locks on real connections: they end, and say who held the lock."""

from __future__ import annotations

import re

import asyncpg
import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from pgharness.fixtures import Database

pytestmark = pytest.mark.pg(isolation="database")


@pytest.fixture(autouse=True)
def job(pg_database: Database) -> None:
    with psycopg.connect(pg_database.url) as connection:
        connection.execute("CREATE TABLE job (id int, worker text); INSERT INTO job VALUES (1)")


async def test_no_wait_for_a_lock_is_for_ever(pg_database: Database) -> None:
    connection = await asyncpg.connect(pg_database.url)
    assert await connection.fetchval("SHOW lock_timeout") == "10s"
    await connection.execute("ALTER DATABASE " + pg_database.name + " SET lock_timeout = '50ms'")
    await connection.execute("CREATE TABLE held (x int)")
    waiting = await asyncpg.connect(pg_database.url)
    async with connection.transaction():
        await connection.execute("LOCK TABLE held")
        with pytest.raises(asyncpg.LockNotAvailableError, match="lock timeout"):
            await waiting.execute("SELECT * FROM held")
    await waiting.close()
    await connection.close()


async def test_a_wait_in_vain_names_both_sides(pg_database: Database) -> None:
    engine = create_async_engine(pg_database.asyncpg_url)
    async with engine.begin() as holder, engine.connect() as waiting:
        await holder.execute(text("UPDATE job SET worker = 'one' WHERE id = 1"))
        await waiting.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(DBAPIError, match="lock timeout") as raised:
            await waiting.execute(text("UPDATE job SET worker = 'two' WHERE id = 1"))
    await engine.dispose()

    own = r"\S*test_real_lock_waits.py:\d+ in test_a_wait_in_vain_names_both_sides"
    said, holds = raised.value.__notes__
    assert re.fullmatch(
        rf"pgharness: \S*::test_a_wait_in_vain_names_both_sides\S*: \"UPDATE job SET worker = 'two' "
        rf"WHERE id = 1\", of the session of {own}, waited in vain for a lock\.",
        said,
    )
    assert re.fullmatch(
        rf"  - in a transaction: process \d+, idle in transaction for [\d.]+ s, its last statement: "
        rf"UPDATE job SET worker = 'one' WHERE id = 1, of the session of {own}",
        holds,
    )


def test_a_wait_in_vain_of_psycopg(pg_database: Database) -> None:
    threads = create_engine(pg_database.psycopg_url)
    with threads.begin() as holder, threads.connect() as waiting:
        holder.execute(text("LOCK TABLE job"))
        waiting.execute(text("SET lock_timeout = '50ms'"))
        with pytest.raises(DBAPIError, match="lock timeout") as raised:
            waiting.execute(text("SELECT * FROM job"))
    threads.dispose()

    assert "its last statement: LOCK TABLE job, of the session of" in raised.value.__notes__[1]
