"""``python -m service.migrate``: as processes of their own where it matters that they are."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import NullPool, make_url, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from pgharness.fixtures import Database
from service.migrate import INI, LOCK, MigrateSettings, MigrationError, migrate
from tests.support.processes import MIGRATE, environment, line

REVISIONS = [revision.revision for revision in ScriptDirectory.from_config(Config(INI)).walk_revisions()]
WAITING = "INFO service.migrate: another process migrates; waiting for it"
VERSIONS = "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)"
DONE = "INFO service.migrate: the database is at the newest migration"


DEFAULTS = {"MIGRATE_POLL": "0.05"}


@contextmanager
def started(url: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    env = environment(**{"DATABASE_URL": url, **DEFAULTS, **settings})
    with subprocess.Popen(MIGRATE, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run(url: str, **settings: str) -> tuple[int, str]:
    env = environment(**{"DATABASE_URL": url, **DEFAULTS, **settings})
    done = subprocess.run(MIGRATE, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.fixture
def settings(pg_empty_database: Database) -> MigrateSettings:
    return MigrateSettings(
        database_url=SecretStr(pg_empty_database.asyncpg_url),
        migrate_poll=0.05,
        migrate_table_wait=0.05,
        migrate_attempts=2,
    )


@pytest.fixture
async def connection(pg_empty_database: Database) -> AsyncIterator[AsyncConnection]:
    """A connection to the empty database, each statement of which is committed by itself."""
    engine = create_async_engine(
        pg_empty_database.asyncpg_url, poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )
    async with engine.connect() as connection:
        yield connection
    await engine.dispose()


def other_database(url: str, **parts: Any) -> str:
    return make_url(url).set(**parts).render_as_string(hide_password=False)


def relay_to(database: Database) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A server's handler that hands every connection on to PostgreSQL."""
    address = make_url(database.asyncpg_url)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        backend = await asyncio.open_connection(address.host, address.port)
        await asyncio.gather(pump(reader, backend[1]), pump(backend[0], writer))

    return relay


async def test_of_several_that_start_at_once_one_migrates_and_all_succeed(
    pg_empty_database: Database, connection: AsyncConnection
) -> None:
    with ExitStack() as stack:
        # The lock makes sure that all are there before the first begins.
        await connection.execute(text(f"SELECT pg_advisory_lock({LOCK})"))
        replicas = [stack.enter_context(started(pg_empty_database.asyncpg_url)) for _ in range(3)]
        for replica in replicas:
            line(replica, WAITING)

        await connection.execute(text(f"SELECT pg_advisory_unlock({LOCK})"))
        said = [replica.communicate()[1] for replica in replicas]

    assert [replica.returncode for replica in replicas] == [0, 0, 0]
    assert sum(text.count("Running upgrade") for text in said) == len(REVISIONS)
    assert sum("Running upgrade" in text for text in said) == 1


async def test_a_process_that_is_killed_leaves_the_lock_to_the_next(
    pg_empty_database: Database, connection: AsyncConnection
) -> None:
    async with connection.engine.connect() as user:
        await user.execution_options(isolation_level="READ COMMITTED")
        await user.execute(text("CREATE TABLE users ()"))
        with started(pg_empty_database.asyncpg_url) as process:
            await asyncio.to_thread(line, process, "Running upgrade")
            process.kill()
        await user.rollback()

    code, said = run(pg_empty_database.asyncpg_url)

    assert (process.returncode, code, said.splitlines()[-1]) == (-signal.SIGKILL, 0, DONE)


def test_a_server_that_never_comes_ends_it_with_a_sentence() -> None:
    code, said = run("postgresql+asyncpg://board:hunter2@127.0.0.1:1/board", MIGRATE_WAIT="0")

    assert code == 1
    assert said.splitlines()[-1] == "ERROR service.migrate: The database did not answer within 0 s."
    assert "Traceback" not in said
    assert "hunter2" not in said


def test_the_app_neither_migrates_nor_loads_what_does() -> None:
    code = "import sys, service.app; sys.exit('alembic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_an_empty_database_is_brought_to_the_newest_migration(
    settings: MigrateSettings, connection: AsyncConnection
) -> None:
    await migrate(settings)

    assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == REVISIONS[0]


async def test_who_waits_too_long_for_another_process_gives_up(
    settings: MigrateSettings, connection: AsyncConnection
) -> None:
    await connection.execute(text(f"SELECT pg_advisory_lock({LOCK})"))

    with pytest.raises(MigrationError, match=r"^Another process has migrated for more than 0 s\.$"):
        await migrate(settings.model_copy(update={"migrate_lock_wait": 0}))


async def test_a_server_that_is_still_starting_is_waited_for(pg_empty_database: Database) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = other_database(pg_empty_database.asyncpg_url, host="127.0.0.1", port=port)

    with started(url) as process:
        await asyncio.to_thread(line, process, "the database does not answer yet: ConnectionRefusedError")
        async with await asyncio.start_server(relay_to(pg_empty_database), "127.0.0.1", port):
            _, said = await asyncio.to_thread(process.communicate)

    assert (process.returncode, said.splitlines()[-1]) == (0, DONE)


async def test_what_the_server_refuses_is_not_tried_again(
    settings: MigrateSettings, pg_empty_database: Database
) -> None:
    url = other_database(pg_empty_database.asyncpg_url, database="dropped_yesterday")

    with pytest.raises(MigrationError) as caught:
        await migrate(settings.model_copy(update={"database_url": SecretStr(url)}))

    assert str(caught.value) == (
        'The database refuses: InvalidCatalogNameError: database "dropped_yesterday" does not exist'
    )


async def test_a_migration_that_fails_is_named_by_its_cause(
    settings: MigrateSettings, connection: AsyncConnection
) -> None:
    await connection.execute(text("CREATE TABLE tasks ()"))

    with pytest.raises(MigrationError) as caught:
        await migrate(settings)

    assert str(caught.value) == ('A migration failed: DuplicateTableError: relation "tasks" already exists')


async def test_a_database_that_is_ahead_of_the_code_is_left_alone(
    settings: MigrateSettings, connection: AsyncConnection
) -> None:
    await connection.execute(text(VERSIONS))
    await connection.execute(text("INSERT INTO alembic_version VALUES ('from the future')"))

    with pytest.raises(MigrationError) as caught:
        await migrate(settings)

    assert str(caught.value) == (
        "The migrations cannot be run: Can't locate revision identified by 'from the future'"
    )


async def test_a_table_that_stays_in_use_is_given_up_after_some_tries(
    settings: MigrateSettings, connection: AsyncConnection, caplog: pytest.LogCaptureFixture
) -> None:
    await connection.execute(text(VERSIONS))
    async with connection.engine.connect() as user:
        await user.execution_options(isolation_level="READ COMMITTED")
        await user.execute(text("LOCK TABLE alembic_version"))

        with pytest.raises(MigrationError) as caught:
            await migrate(settings)

    assert caplog.messages == [
        "a table is in use; trying again: LockNotAvailableError: canceling statement due to lock timeout"
    ]
    assert str(caught.value) == (
        "A migration failed: LockNotAvailableError: canceling statement due to lock timeout"
    )
