"""The migration that brings admins to a board that is in use: the oldest account becomes one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

INI = Path(__file__).parents[3] / "alembic.ini"
BEFORE, AFTER = "2e94b6d8075a", "5d0c8e71b3f4"


class Database(Protocol):
    @property
    def asyncpg_url(self) -> str: ...


@pytest.fixture
async def engine(pg_empty_database: Database) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(pg_empty_database.asyncpg_url, poolclass=NullPool)
    yield engine
    await engine.dispose()


async def upgrade(database: Database, revision: str) -> None:
    config = Config(INI)
    config.attributes["url"] = database.asyncpg_url
    await asyncio.to_thread(command.upgrade, config, revision)


async def admins(engine: AsyncEngine) -> dict[str, bool]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT name, is_admin FROM users"))
    return {row.name: row.is_admin for row in rows}


async def test_the_oldest_account_becomes_the_admin(pg_empty_database: Database, engine: AsyncEngine) -> None:
    await upgrade(pg_empty_database, BEFORE)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO users (email, name, password_hash, created_at) VALUES"
                " ('grace@example.org', 'Grace', '-', '2026-02-02'),"
                " ('ada@example.org', 'Ada', '-', '2026-01-01')"
            )
        )

    await upgrade(pg_empty_database, AFTER)

    assert await admins(engine) == {"Ada": True, "Grace": False}


async def test_an_empty_board_has_no_admin(pg_empty_database: Database, engine: AsyncEngine) -> None:
    await upgrade(pg_empty_database, AFTER)

    assert await admins(engine) == {}
