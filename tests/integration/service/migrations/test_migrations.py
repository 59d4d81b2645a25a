"""The migrations, from an empty database: up, down, up again, and equal to the models."""

import asyncio
import io
import logging
import re
from collections.abc import Awaitable, Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from packaging.version import Version
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.fixtures import Database
from service.models import Base
from tests.support.migrations import INI

SCRIPTS = ScriptDirectory.from_config(Config(INI))

Migrate = Callable[..., Awaitable[str]]


@pytest.fixture
def migrate(pg_empty_database: Database) -> Migrate:
    """Run one of Alembic's commands on the empty database and return what it printed."""
    printed = io.StringIO()
    config = Config(INI, stdout=printed, output_buffer=printed)
    config.set_main_option("sqlalchemy.url", pg_empty_database.asyncpg_url.replace("%", "%%"))

    config.attributes["lock_timeout"] = "50ms"

    async def run(function: Callable[..., Any], *arguments: Any, **options: Any) -> str:
        # env.py calls asyncio.run, which refuses to inside a running loop.
        await asyncio.to_thread(function, config, *arguments, **options)
        return printed.getvalue()

    return run


async def schema(engine: AsyncEngine) -> dict[str, str]:
    """Every table, sequence, column, constraint and index of the public schema, as PostgreSQL writes it."""
    query = """
        SELECT table_name || '.' || column_name,
               concat_ws(' ', data_type, character_maximum_length, is_nullable, column_default,
                         generation_expression)
          FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL
        SELECT conname, pg_get_constraintdef(oid)
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
        UNION ALL
        SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL
        SELECT relname, concat_ws(' ', relkind, relpersistence)
          FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'S')
    """
    async with engine.connect() as connection:
        rows = (await connection.execute(text(query))).all()
    return {name: definition for name, definition in rows if not name.startswith("alembic_version")}


def test_there_is_a_single_head() -> None:
    assert len(SCRIPTS.get_heads()) == 1


def test_file_names_start_with_a_date_and_sort_as_the_migrations_run() -> None:
    names = [Path(revision.path).name for revision in SCRIPTS.walk_revisions()][::-1]

    dates = [name[:10] for name in names]

    assert all(re.fullmatch(r"\d{4}_\d{2}_\d{2}_[a-z0-9_]+\.py", name) for name in names)
    assert dates == sorted(dates)


async def test_an_empty_database_is_upgraded_to_the_head(migrate: Migrate, engine: AsyncEngine) -> None:
    await migrate(command.upgrade, "head")

    async with engine.connect() as connection:
        version = await connection.scalar(text("SELECT version_num FROM alembic_version"))
        tables = (
            await connection.scalars(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            )
        ).all()
    assert version == SCRIPTS.get_current_head()
    assert tables == sorted(["alembic_version", *Base.metadata.tables])


@pytest.mark.filterwarnings(
    # Before 1.18, Alembic takes a generated column for changed because PostgreSQL spells it otherwise.
    "ignore:Computed default on posts.words"
    if Version(metadata.version("alembic")) < Version("1.18")
    else "error"
)
async def test_alembic_finds_nothing_that_the_models_have_and_the_migrations_lack(migrate: Migrate) -> None:
    await migrate(command.upgrade, "head")

    printed = await migrate(command.check)

    assert printed == "No new upgrade operations detected.\n"


async def test_the_models_alone_make_the_same_schema_to_the_letter(
    migrate: Migrate, engine: AsyncEngine
) -> None:
    await migrate(command.upgrade, "head")
    migrated = await schema(engine)

    await migrate(command.downgrade, "base")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)

    assert await schema(engine) == migrated
    assert len(migrated) > 20


async def test_every_migration_can_be_taken_back_and_made_again(
    migrate: Migrate, engine: AsyncEngine
) -> None:
    seen: list[dict[str, str]] = [{}]

    for revision in [*SCRIPTS.walk_revisions()][::-1]:
        await migrate(command.upgrade, revision.revision)
        seen.append(await schema(engine))
    for before in seen[-2::-1]:
        await migrate(command.downgrade, "-1")
        assert await schema(engine) == before
    await migrate(command.upgrade, "head")

    assert await schema(engine) == seen[-1]


async def test_the_statements_can_be_printed_instead_of_run(migrate: Migrate, engine: AsyncEngine) -> None:
    printed = await migrate(command.upgrade, "head", sql=True)

    assert "SET lock_timeout = '50ms';\n" in printed.partition("BEGIN;")[0]
    assert "CREATE TABLE tasks" in printed
    assert await schema(engine) == {}


async def test_the_address_can_come_from_the_settings(
    pg_empty_database: Database, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE_DATABASE_URL", pg_empty_database.asyncpg_url)

    await asyncio.to_thread(command.upgrade, Config(INI), "head")

    assert "users.email" in await schema(engine)


async def test_a_caller_can_lend_its_connection(engine: AsyncEngine) -> None:
    config = Config(INI)

    async with engine.connect() as connection:  # one that is in no transaction: some migrations need that

        def upgrade(sync_connection: object) -> None:
            config.attributes["connection"] = sync_connection
            command.upgrade(config, "head")

        await connection.run_sync(upgrade)

    assert "users.email" in await schema(engine)


async def test_a_migration_gives_up_a_lock_that_it_cannot_have(migrate: Migrate, engine: AsyncEngine) -> None:
    await migrate(command.upgrade, "7c1f0a52d3be")
    async with engine.begin() as holder:
        await holder.execute(text("LOCK TABLE users"))

        with pytest.raises(DBAPIError, match="lock timeout") as caught:
            await migrate(command.upgrade, "head")

    assert "CREATE TABLE tasks" in str(caught.value)


async def test_the_loggers_of_the_program_are_left_alone(migrate: Migrate) -> None:
    logger = logging.getLogger("service.some_module")
    handlers = list(logging.getLogger().handlers)

    await migrate(command.upgrade, "head")

    assert not logger.disabled
    assert logging.getLogger().handlers == handlers
