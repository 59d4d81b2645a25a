"""The data migration that gives the tasks of a board in use their places: rows before, and after."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.fixtures import Database
from tests.support.migrations import upgrade

WITHOUT_COLUMN, WITHOUT_PLACES, WITH_PLACES = "d81f6a25c7e0", "4be9d2061f73", "8a5c07f3d91b"

USERS = """
    INSERT INTO users (email, name, password_hash) VALUES ('ada@b.c', 'Ada', '-'), ('grace@b.c', 'Grace', '-')
"""
TASKS = """
    INSERT INTO tasks (owner_id, title, created_at)
    SELECT users.id, made.title, made.created_at::timestamptz
      FROM (VALUES ('Ada', 'second', '2026-02-02'), ('Ada', 'first', '2026-01-01'),
                   ('Grace', 'only', '2026-03-03'), ('Ada', 'third', '2026-02-03')
           ) AS made (name, title, created_at) JOIN users USING (name)
"""
NEW = "INSERT INTO tasks (owner_id, title) SELECT id, 'new' FROM users WHERE name = 'Ada'"
LISTS = """
    SELECT name, array_agg(title ORDER BY position) AS titles, count(DISTINCT position) AS places
      FROM tasks JOIN users ON users.id = owner_id GROUP BY name
"""


async def execute(engine: AsyncEngine, *statements: str) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def lists(engine: AsyncEngine) -> dict[str, tuple[list[str], int]]:
    async with engine.connect() as connection:
        return {row.name: (row.titles, row.places) for row in await connection.execute(text(LISTS))}


async def test_old_tasks_get_places_in_the_order_in_which_they_were_made(
    pg_empty_database: Database, engine: AsyncEngine
) -> None:
    await upgrade(pg_empty_database, WITHOUT_COLUMN)
    await execute(engine, USERS, TASKS)

    await upgrade(pg_empty_database, WITH_PLACES)

    assert await lists(engine) == {"Ada": (["first", "second", "third"], 3), "Grace": (["only"], 1)}


async def test_what_is_made_while_it_runs_stands_after_what_was_there(
    pg_empty_database: Database, engine: AsyncEngine
) -> None:
    await upgrade(pg_empty_database, WITHOUT_COLUMN)
    await execute(engine, USERS, TASKS)
    await upgrade(pg_empty_database, WITHOUT_PLACES)
    await execute(engine, NEW)

    await upgrade(pg_empty_database, "head")

    assert (await lists(engine))["Ada"] == (["first", "second", "third", "new"], 4)
