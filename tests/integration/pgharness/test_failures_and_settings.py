"""Failures and settings of one transaction are its own, though others share its connection."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.support.joined import Joined

INSERT = text("INSERT INTO t VALUES (1)")
COUNT = text("SELECT count(*) FROM t")
UNKNOWN = 'savepoint "nope" does not exist'


@pytest.fixture
def joined_schema() -> str:
    return "CREATE TABLE t (key int PRIMARY KEY)"


def count(connection: Connection) -> object:
    return connection.execute(COUNT).scalar()


async def async_count(connection: AsyncConnection) -> object:
    return (await connection.execute(COUNT)).scalar()


def test_psycopg_a_failure_that_was_rolled_back_is_not_laid_at_others_doors(
    joined: Joined, engine: Engine
) -> None:
    with joined.test(), engine.connect() as one, engine.connect() as other:
        one.execute(INSERT)
        with pytest.raises(DBAPIError, match="division by zero"):
            other.execute(text("SELECT 1 / 0"))
        other.rollback()

        assert count(one) == 1


async def test_asyncpg_a_failure_that_was_rolled_back_is_not_laid_at_others_doors(
    joined: Joined, async_engine: AsyncEngine
) -> None:
    with joined.test():
        async with async_engine.connect() as one, async_engine.connect() as other:
            await one.execute(INSERT)
            with pytest.raises(DBAPIError, match="division by zero"):
                await other.execute(text("SELECT 1 / 0"))
            await other.rollback()

            assert await async_count(one) == 1


@pytest.mark.parametrize("command", ["RELEASE SAVEPOINT nope", "ROLLBACK TO nope"])
def test_psycopg_a_savepoint_that_does_not_exist_fails_its_transaction_alone(
    joined: Joined, engine: Engine, command: str
) -> None:
    with joined.test(), engine.connect() as one, engine.connect() as other:
        one.execute(INSERT)
        with pytest.raises(DBAPIError, match=UNKNOWN):
            other.exec_driver_sql(command)

        assert count(one) == 1
        with pytest.raises(DBAPIError, match="current transaction is aborted"):
            count(other)
        other.rollback()
        assert count(other) == 1


@pytest.mark.parametrize("command", ["RELEASE SAVEPOINT nope", "ROLLBACK TO nope"])
async def test_asyncpg_a_savepoint_that_does_not_exist_fails_its_transaction_alone(
    joined: Joined, async_engine: AsyncEngine, command: str
) -> None:
    with joined.test():
        async with async_engine.connect() as one, async_engine.connect() as other:
            await one.execute(INSERT)
            with pytest.raises(DBAPIError, match=UNKNOWN):
                await other.exec_driver_sql(command)

            assert await async_count(one) == 1
            with pytest.raises(DBAPIError, match="current transaction is aborted"):
                await async_count(other)
            await other.rollback()
            assert await async_count(other) == 1


def test_psycopg_set_local_rolled_back_to_a_savepoint_is_not_restored_at_commit(
    joined: Joined, engine: Engine
) -> None:
    with joined.test(), engine.connect() as connection:
        before = connection.execute(text("SHOW work_mem")).scalar()
        nested = connection.begin_nested()
        connection.execute(text("SET LOCAL work_mem = '1MB'"))
        nested.rollback()
        connection.commit()

        assert connection.execute(text("SHOW work_mem")).scalar() == before


async def test_asyncpg_set_local_rolled_back_to_a_savepoint_is_not_restored_at_commit(
    joined: Joined, async_engine: AsyncEngine
) -> None:
    with joined.test():
        async with async_engine.connect() as connection:
            before = (await connection.execute(text("SHOW work_mem"))).scalar()
            nested = await connection.begin_nested()
            await connection.execute(text("SET LOCAL work_mem = '1MB'"))
            await nested.rollback()
            await connection.commit()

            assert (await connection.execute(text("SHOW work_mem"))).scalar() == before


def test_psycopg_set_local_of_an_autocommit_connection_ends_with_its_statement(
    joined: Joined, engine: Engine
) -> None:
    with joined.test(), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        before = connection.execute(text("SHOW work_mem")).scalar()
        connection.execute(text("SET LOCAL work_mem = '1MB'"))

        assert connection.execute(text("SHOW work_mem")).scalar() == before


async def test_asyncpg_set_local_of_an_autocommit_connection_ends_with_its_statement(
    joined: Joined, async_engine: AsyncEngine
) -> None:
    autocommit = async_engine.execution_options(isolation_level="AUTOCOMMIT")
    with joined.test():
        async with autocommit.connect() as connection:
            before = (await connection.execute(text("SHOW work_mem"))).scalar()
            await connection.execute(text("SET LOCAL work_mem = '1MB'"))

            assert (await connection.execute(text("SHOW work_mem"))).scalar() == before


async def test_a_read_only_transaction_that_failed_does_not_make_others_read_only(
    joined: Joined, async_engine: AsyncEngine
) -> None:
    read_only = async_engine.execution_options(postgresql_readonly=True)
    with joined.test():
        async with read_only.connect() as reader, async_engine.connect() as writer:
            with pytest.raises(DBAPIError, match="read-only transaction"):
                await reader.execute(INSERT)
            await writer.execute(INSERT)

            assert await async_count(writer) == 1
