"""Small projects with migrations, written into a test's own directory."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from pgharness.config import Config, resolve
from pgharness.errors import SchemaError
from pgharness.schema.find import find
from pgharness.schema.sql import connect
from pgharness.server.background import background
from pgharness.server.base import Address, Server

SYNC_ENV = """
    from alembic import context
    from sqlalchemy import engine_from_config, pool

    config = context.config
    engine = engine_from_config(config.get_section(config.config_ini_section), poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()
"""

ASYNC_ENV = """
    import asyncio
    from alembic import context
    from sqlalchemy import pool
    from sqlalchemy.ext.asyncio import async_engine_from_config

    config = context.config

    def migrate(connection):
        context.configure(connection=connection)
        with context.begin_transaction():
            context.run_migrations()

    async def main():
        engine = async_engine_from_config(config.get_section("alembic"), poolclass=pool.NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(migrate)
        await engine.dispose()

    asyncio.run(main())
"""


def configure(root: Path, **options: Any) -> Config:
    """The configuration of a project in ``root``, ``options`` being its ini file."""
    return resolve(
        command_line=lambda name: None,
        ini=lambda name: options.get(name.removeprefix("pg_")),
        environ={},
        root=root,
    )


def apply(root: Path, server: Server, database: str, **options: object) -> set[str]:
    """Build the schema of the project in ``root``; the tables that are there then."""
    find(configure(root, **options)).apply(server.address, database)
    return tables(server.address, database)


def message(root: Path, server: Server, database: str, **options: object) -> str:
    """What is said when it cannot be built, which never holds the server's password."""
    with pytest.raises(SchemaError) as caught:
        apply(root, server, database, **options)
    assert server.address.password not in str(caught.value)
    return str(caught.value)


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip("\n"))
    return path


def migration(revision: str, after: str | None, body: str, title: str = "a step") -> str:
    """The text of a migration; ``body`` is that of ``upgrade``."""
    lines = textwrap.indent(textwrap.dedent(body).strip("\n"), "    ")
    return (
        f'"""{title}\n\nRevision ID: {revision}\n"""\n'
        "import sqlalchemy as sa\nfrom alembic import op\n\n"
        f"revision = {revision!r}\ndown_revision = {after!r}\n\n\ndef upgrade():\n{lines}\n"
    )


def alembic_project(
    root: Path, *, env: str = SYNC_ENV, ini: str = "", migrations: dict[str, str] | None = None
) -> Path:
    """A project with ``alembic.ini``, ``migrations/env.py`` and the given migrations by file name."""
    write(root, "alembic.ini", "[alembic]\nscript_location = migrations\n" + textwrap.dedent(ini))
    write(root, "migrations/env.py", env)
    steps = {"a1_users.py": migration("a1", None, CREATE_USERS)} if migrations is None else migrations
    for name, text in steps.items():
        write(root, f"migrations/versions/{name}", text)
    return root


CREATE_USERS = 'op.create_table("users", sa.Column("id", sa.Integer, primary_key=True))'


def fetch(address: Address, database: str, query: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of ``query`` in ``database``."""

    async def run() -> list[tuple[Any, ...]]:
        connection = await connect(address, database)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    return background.run(run())


def execute(address: Address, database: str, *statements: str) -> None:
    """Run each statement on its own."""

    async def run() -> None:
        connection = await connect(address, database)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    background.run(run())


def hold(address: Address, database: str) -> asyncpg.Connection[Any]:
    """A connection that stays open."""
    return background.run(connect(address, database))


def abort(connection: asyncpg.Connection[Any]) -> None:
    """Let go of a connection that the server may have ended."""

    async def run() -> None:
        connection.terminate()

    background.run(run())


def tables(address: Address, database: str) -> set[str]:
    rows = fetch(
        address,
        database,
        "SELECT schemaname || '.' || tablename FROM pg_tables "
        "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')",
    )
    return {name for (name,) in rows}


def databases(address: Address) -> set[str]:
    return {name for (name,) in fetch(address, "postgres", "SELECT datname::text FROM pg_database")}


BARE = {"postgres", "template0", "template1"}
"""The databases of a new server."""


def ended(server: Server, connection: asyncpg.Connection[Any]) -> bool:
    pid = connection.get_server_pid()
    backends = fetch(server.address, "postgres", "SELECT FROM pg_stat_activity WHERE pid = $1", pid)
    abort(connection)
    return backends == []
