"""The engine of the service: nothing waits for ever, and what may pass is told from what will not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.fixtures import Database
from service.database import create_engine, is_unavailable
from service.settings import Settings

pytestmark = pytest.mark.pg(isolation="database")


@pytest.fixture
async def engine(pg_database: Database) -> AsyncIterator[AsyncEngine]:
    """One connection, and no patience."""
    settings = Settings.model_validate(
        {
            "database_url": pg_database.asyncpg_url,
            "pool_size": 1,
            "pool_overflow": 1,
            "pool_timeout": 0.01,
            "statement_timeout": 0.2,
            "lock_timeout": 0.1,
            "idle_timeout": 1.5,
        }
    )
    engine = create_engine(settings)
    yield engine
    await engine.dispose()


async def test_the_settings_reach_the_server(engine: AsyncEngine) -> None:
    names = "application_name", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"
    async with engine.connect() as connection:
        shown = [(await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in names]

    assert shown == ["task-board", "200ms", "100ms", "1500ms"]


async def test_a_statement_that_takes_too_long_is_ended(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(DBAPIError, match="statement timeout") as caught:
            await connection.execute(text("SELECT pg_sleep(60)"))

    assert is_unavailable(caught.value)


async def test_a_lock_that_cannot_be_had_is_not_waited_for(engine: AsyncEngine) -> None:
    async with engine.connect() as holder, engine.connect() as other:
        await holder.execute(text("LOCK TABLE tasks"))
        with pytest.raises(DBAPIError, match="lock timeout") as caught:
            await other.execute(text("SELECT 1 FROM tasks"))

    assert is_unavailable(caught.value)


async def test_a_pool_that_is_used_up_is_not_waited_for(engine: AsyncEngine) -> None:
    async with engine.connect(), engine.connect():
        with pytest.raises(PoolTimeoutError) as caught:
            async with engine.connect():
                pass

    assert is_unavailable(caught.value)


async def test_a_connection_that_the_server_ended_is_replaced(engine: AsyncEngine) -> None:
    async with engine.connect() as victim, engine.connect() as killer:
        driver: Any = (await victim.get_raw_connection()).driver_connection
        heard = asyncio.Event()
        driver.add_termination_listener(lambda _: heard.set())
        await killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": driver.get_server_pid()})
        await heard.wait()
        with pytest.raises(DBAPIError) as caught:
            await victim.execute(text("SELECT 1"))

    assert is_unavailable(caught.value)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_a_broken_constraint_will_not_pass_by_itself(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError) as caught:
            await connection.execute(text("INSERT INTO users (name) VALUES ('Ada')"))

    assert not is_unavailable(caught.value)


def test_what_connecting_raises_may_pass() -> None:
    assert is_unavailable(asyncpg.CannotConnectNowError())
    assert is_unavailable(ConnectionRefusedError())
    assert not is_unavailable(ValueError())
