"""The migration that brings admins to a board that is in use: the oldest account becomes one."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.fixtures import Database
from tests.support.migrations import upgrade

BEFORE, AFTER = "2e94b6d8075a", "5d0c8e71b3f4"


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
