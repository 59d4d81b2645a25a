"""Extensions and SQL files: what the harness itself asks of a new database."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Sequence
from typing import Any

import asyncpg

from pgharness.config import Config
from pgharness.schema import problems
from pgharness.schema.statements import MetaCommandError, Statement, split
from pgharness.server.background import background
from pgharness.server.base import Address


@dataclasses.dataclass(frozen=True, slots=True)
class SqlFile:
    """A file of `pg_sql` or `pg_seed`, read and split. ``name`` is the path as the options give it."""

    name: str
    statements: tuple[Statement, ...]


async def connect(address: Address, database: str, application: str = "pgharness") -> asyncpg.Connection[Any]:
    """A plain connection to ``database``, without prepared statements kept."""
    return await asyncpg.connect(
        host=address.host,
        port=address.port,
        user=address.user,
        password=address.password or None,
        database=database,
        statement_cache_size=0,
        server_settings={"application_name": application, "standard_conforming_strings": "on"},
    )


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def read(config: Config) -> list[SqlFile]:
    """Read every file of `pg_sql`.

    Raises:
        SchemaError: One is not there, or holds psql's own commands.
    """
    return [read_file(config, "sql", text) for text in config.sql]


def read_file(config: Config, option: str, text: str) -> SqlFile:
    """Read the file that ``option`` names as ``text``.

    Raises:
        SchemaError: It is not there, or holds psql's own commands.
    """
    path = config.path(text)
    if not path.is_file():
        raise problems.no_sql_file(config, option, text, path)
    try:
        return SqlFile(text, tuple(split(path.read_text(encoding="utf-8-sig"))))
    except MetaCommandError as error:
        raise problems.meta_command(option, text, error.line, error.command) from None


def create_extensions(address: Address, database: str, extensions: Sequence[str]) -> None:
    """Create ``extensions`` in ``database``.

    Raises:
        SchemaError: One cannot be had.
    """
    if extensions:
        background.run(_create_extensions(address, database, extensions))


def run(address: Address, database: str, files: Sequence[SqlFile]) -> None:
    """Run ``files`` in ``database``, each statement on its own as psql does.

    Raises:
        SchemaError: A statement fails.
    """
    if files:
        background.run(_run(address, database, files))


async def _create_extensions(address: Address, database: str, extensions: Sequence[str]) -> None:
    async with connection_to(address, database) as connection:
        for extension in extensions:
            await _create_extension(connection, extension)


async def _run(address: Address, database: str, files: Sequence[SqlFile]) -> None:
    for file in files:
        # A connection each: what a dump sets for its session must not reach the next file.
        async with connection_to(address, database) as connection:
            for statement in file.statements:
                try:
                    await connection.execute(statement.text)
                except asyncpg.PostgresError as error:
                    raise _failed(file, statement, error) from error


@contextlib.asynccontextmanager
async def connection_to(address: Address, database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A plain connection for the block."""
    connection = await connect(address, database)
    try:
        yield connection
    finally:
        await connection.close(timeout=5)


async def _create_extension(connection: asyncpg.Connection[Any], extension: str) -> None:
    try:
        await connection.execute(f"CREATE EXTENSION IF NOT EXISTS {quoted(extension)} CASCADE")
    except asyncpg.PostgresError as error:
        rows = await connection.fetch("SELECT name FROM pg_available_extensions ORDER BY name")
        available = [row["name"] for row in rows]
        version = str(await connection.fetchval("SHOW server_version")).partition(" ")[0]
        if extension not in available:
            raise problems.no_extension(extension, available, version) from error
        raise problems.extension_failed(extension, postgres_says(error)) from error


def _failed(file: SqlFile, statement: Statement, error: asyncpg.PostgresError) -> Exception:
    line = statement.line
    position = str(getattr(error, "position", None) or "")
    if position.isdecimal():
        line += statement.text.count("\n", 0, int(position) - 1)
    return problems.sql_failed(file.name, line, statement.text, postgres_says(error), error.sqlstate or "")


def postgres_says(error: asyncpg.PostgresError) -> str:
    """PostgreSQL's message, with its detail and hint where it gives them."""
    fields = (getattr(error, name, None) for name in ("detail", "hint"))
    return " ".join(
        [str(getattr(error, "message", None) or error), *(f"({text})" for text in fields if text)]
    )


async def relations(address: Address, database: str) -> tuple[set[str], bool]:
    """The names of the relations a user made in ``database``, and whether one records revisions."""
    async with connection_to(address, database) as connection:
        rows = await connection.fetch(
            """
            SELECT c.oid::regclass::text AS name,
                   EXISTS (SELECT FROM pg_attribute a
                           WHERE a.attrelid = c.oid AND a.attname = 'version_num') AS versions
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
              AND NOT EXISTS (SELECT FROM pg_depend d
                              WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
            """
        )
    return {row["name"] for row in rows}, any(row["versions"] for row in rows)
