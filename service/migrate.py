"""``python -m service.migrate``: bring the database to the newest migration and end.

Any number of replicas may start it at once: one migrates, the others wait and find nothing to do.
"""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from pydantic import Field
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from service.database import UNAVAILABLE
from service.settings import DatabaseSettings

INI = Path(__file__).parent.parent / "alembic.ini"
LOCK = 7_016_996_765_293_437_281
"""Advisory locks are numbers that all users of a database share: one that nobody else comes to think of."""

CONNECT_SECONDS = 5
NOT_YET = (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)
"""What a server says that is starting, or that is not there yet. Anything else would be said again."""

T = TypeVar("T")

log = logging.getLogger("service.migrate")


class MigrationError(Exception):
    """The database is not at the newest migration. ``str(error)`` is one sentence for who deploys."""


class MigrateSettings(DatabaseSettings):
    """How patient a migration is, in seconds."""

    migrate_wait: float = Field(default=60, ge=0)
    """How long the server may take to come up."""
    migrate_lock_wait: float = Field(default=900, ge=0)
    """How long another process may take to migrate."""
    migrate_poll: float = Field(default=0.5, gt=0)
    """Between two tries of either."""
    migrate_table_wait: float = Field(default=5, gt=0)
    """How long a migration waits for a lock on a table, and everybody else behind it."""
    migrate_attempts: int = Field(default=5, ge=1)
    """How often a migration that could not have its lock is begun."""


async def migrate(settings: MigrateSettings) -> None:
    """Upgrade to the newest migration, alone.

    Raises:
        MigrationError: The database is out of reach, somebody else migrates for too long, or a migration
            failed. What was migrated before it stays.
    """
    async with _lock_connection(settings) as connection:
        await _lock(connection, settings)
        for left in reversed(range(settings.migrate_attempts)):
            try:
                # env.py calls asyncio.run, which refuses to inside a running loop.
                await asyncio.to_thread(command.upgrade, _config(settings), "head")
            except CommandError as error:
                raise MigrationError(f"The migrations cannot be run: {error}") from error
            except UNAVAILABLE as error:
                if not left or not isinstance(_cause(error), asyncpg.LockNotAvailableError):
                    raise MigrationError(f"A migration failed: {_sentence(error)}") from error
                log.warning("a table is in use; trying again: %s", _sentence(error))
            else:
                return


def _config(settings: MigrateSettings) -> Config:
    return Config(
        INI,
        attributes={
            "url": settings.database_url.get_secret_value(),
            "lock_timeout": f"{settings.migrate_table_wait * 1000:.0f}ms",
        },
    )


@asynccontextmanager
async def _lock_connection(settings: MigrateSettings) -> AsyncIterator[AsyncConnection]:
    """A connection that does nothing but hold the lock.

    The migrations have another: they commit, and leave their transactions for some statements, and the
    lock is to outlive that. It is in no transaction, or CREATE INDEX CONCURRENTLY would wait for its end.
    """
    engine = create_async_engine(
        settings.database_url.get_secret_value(),
        poolclass=NullPool,
        isolation_level="AUTOCOMMIT",
        connect_args={
            "timeout": CONNECT_SECONDS,
            "server_settings": {"application_name": "migrate lock", "idle_session_timeout": "0"},
        },
    )
    try:
        connection = await _connected(engine, settings)
        try:
            yield connection
        finally:
            await connection.close()
    finally:
        await engine.dispose()


async def _connected(engine: AsyncEngine, settings: MigrateSettings) -> AsyncConnection:
    async def connect() -> AsyncConnection | None:
        try:
            return await engine.connect()
        except NOT_YET as error:
            log.info("the database does not answer yet: %s", _sentence(error))
            return None
        except UNAVAILABLE as error:
            raise MigrationError(f"The database refuses: {_sentence(error)}") from error

    connection = await _persist(connect, settings.migrate_wait, settings.migrate_poll)
    if connection is None:
        raise MigrationError(f"The database did not answer within {settings.migrate_wait:g} s.")
    return connection


async def _lock(connection: AsyncConnection, settings: MigrateSettings) -> None:
    """Take the lock, which goes with the connection.

    Asked for again and again rather than waited for: a statement that waits has a snapshot, and the CREATE
    INDEX CONCURRENTLY of whoever has the lock would wait for it in turn.
    """

    async def take() -> bool | None:
        if await connection.scalar(text(f"SELECT pg_try_advisory_lock({LOCK})")):
            return True
        log.info("another process migrates; waiting for it")
        return None

    if not await _persist(take, settings.migrate_lock_wait, settings.migrate_poll):
        raise MigrationError(f"Another process has migrated for more than {settings.migrate_lock_wait:g} s.")


async def _persist(attempt: Callable[[], Awaitable[T | None]], patience: float, pause: float) -> T | None:
    """The first result of ``attempt`` that is not None; None after ``patience`` seconds. It is tried once."""
    deadline = time.monotonic() + patience
    while (result := await attempt()) is None and time.monotonic() < deadline:  # noqa: ASYNC110 (no event tells)
        await asyncio.sleep(pause)
    return result


def _cause(error: BaseException) -> BaseException:
    """The driver's own error, where SQLAlchemy has wrapped it."""
    wrapped = error.orig if isinstance(error, DBAPIError) else None
    return wrapped.__cause__ or error if wrapped is not None else error


def _sentence(error: BaseException) -> str:
    cause = _cause(error)
    return f"{type(cause).__name__}: {cause}"


def main() -> int:
    """Migrate. Returns the exit code: 1 if it failed, 2 if the settings are wrong."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settings = MigrateSettings.load_or_exit()
    try:
        asyncio.run(migrate(settings))
    except MigrationError as error:
        log.error("%s", error)  # noqa: TRY400 (a sentence for who deploys, no traceback)
        return 1
    log.info("the database is at the newest migration")
    return 0


if __name__ == "__main__":
    sys.exit(main())
