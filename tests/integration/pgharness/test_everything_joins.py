"""Whatever connects to the address shares the test's transaction: drivers, roles, threads, processes."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import psycopg
import psycopg2
import psycopg_pool
import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.joined import Joined

INSERT = "INSERT INTO kept VALUES (1)"
COUNT = "SELECT count(*) FROM kept"


@pytest.fixture
def joined_schema() -> str:
    return "CREATE TABLE kept (x int)"


def counted(url: str) -> Any:
    """What a connection of its own counts."""
    with psycopg.connect(url) as connection:
        row = connection.execute(COUNT).fetchone()
    assert row
    return row[0]


@pytest.fixture
def _undone(beside: Engine) -> Iterator[None]:
    """Nothing of what the test does is there afterwards."""
    yield
    with beside.connect() as connection:
        assert connection.execute(text(COUNT)).scalar() == 0


pytestmark = pytest.mark.usefixtures("_undone")


# -- drivers and pools -----------------------------------------------------------------------------------


async def in_asyncpgs_transaction(url: str) -> None:
    connection = await asyncpg.connect(url)
    async with connection.transaction():
        await connection.execute(INSERT)
    await connection.close()


async def in_a_pool_of_asyncpg(url: str) -> None:
    async with asyncpg.create_pool(url, min_size=1) as pool, pool.acquire() as connection:
        await connection.fetch(INSERT)


async def in_a_prepared_statement(url: str) -> None:
    connection = await asyncpg.connect(url)
    await (await connection.prepare(INSERT)).fetch()
    await connection.close()


async def in_asyncpgs_copy(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.copy_records_to_table("kept", records=[(1,)])
    await connection.close()


async def in_psycopgs_block(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(INSERT)


async def in_psycopgs_autocommit(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(INSERT)


async def in_psycopgs_pipeline(url: str) -> None:
    with psycopg.connect(url) as connection, connection.pipeline():
        connection.execute(INSERT)


async def in_psycopgs_copy(url: str) -> None:
    with psycopg.connect(url) as connection, connection.cursor().copy("COPY kept FROM STDIN") as copy:
        copy.write_row((1,))


async def in_a_pool_of_psycopg(url: str) -> None:
    with psycopg_pool.ConnectionPool(url, min_size=1) as pool, pool.connection() as connection:
        connection.execute(INSERT)


async def in_an_async_pool_of_psycopg(url: str) -> None:
    async with (
        psycopg_pool.AsyncConnectionPool(url, min_size=1, open=False) as pool,
        pool.connection() as connection,
    ):
        await connection.execute(INSERT)


async def in_psycopg2(url: str) -> None:
    with contextlib.closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(INSERT)


async def in_sqlalchemy(url: str) -> None:
    for driver in ("psycopg", "psycopg2"):
        engine = create_engine(make_url(url).set(drivername=f"postgresql+{driver}"), poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(text(INSERT if driver == "psycopg" else COUNT))


async def in_async_sqlalchemy(url: str) -> None:
    for driver in ("psycopg", "asyncpg"):
        engine = create_async_engine(make_url(url).set(drivername=f"postgresql+{driver}"), poolclass=NullPool)
        async with engine.begin() as connection:
            await connection.execute(text(INSERT if driver == "psycopg" else COUNT))


async def in_an_engine_with_a_creator(url: str) -> None:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text(INSERT))


async def in_sql_of_its_own(url: str) -> None:
    with contextlib.closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute("BEGIN")
        cursor.execute(INSERT)
        cursor.execute("COMMIT")


WAYS: list[Callable[[str], Awaitable[None]]] = [
    *(in_asyncpgs_transaction, in_a_pool_of_asyncpg, in_a_prepared_statement, in_asyncpgs_copy),
    *(in_psycopgs_block, in_psycopgs_autocommit, in_psycopgs_pipeline, in_psycopgs_copy),
    *(in_a_pool_of_psycopg, in_an_async_pool_of_psycopg, in_psycopg2),
    *(in_sqlalchemy, in_async_sqlalchemy, in_an_engine_with_a_creator, in_sql_of_its_own),
]


@pytest.mark.parametrize("way", WAYS)
async def test_others_see_what_it_commits(joined: Joined, way: Callable[[str], Awaitable[None]]) -> None:
    with joined.test():
        await way(joined.url)
        assert counted(joined.url) == 1
        await way(joined.url)
        assert counted(joined.url) == 2
    with joined.test():
        assert counted(joined.url) == 0


async def test_all_of_them_in_one_test(joined: Joined) -> None:
    with joined.test():
        for way in WAYS:
            await way(joined.url)
        assert counted(joined.url) == len(WAYS)


async def test_what_they_roll_back_is_their_own(joined: Joined) -> None:
    with joined.test():
        connection = await asyncpg.connect(joined.url)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(INSERT)
        with psycopg.connect(joined.url) as other:
            other.execute("SELECT 1")
            other.rollback()
        await transaction.rollback()
        await in_psycopg2(joined.url)
        await connection.close()
        assert counted(joined.url) == 1


def test_a_connection_notices_what_is_sent_to_it(joined: Joined) -> None:
    with joined.test(), psycopg.connect(joined.url, autocommit=True) as connection:
        notices: list[str | None] = []
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary))
        connection.execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")
        connection.execute("LISTEN news")

        assert notices == ["hello"]
        assert list(connection.notifies(timeout=0)) == []


# -- roles ------------------------------------------------------------------------------------------------


def test_a_second_role_has_its_own_rights(joined: Joined) -> None:
    role = f"{joined.name}_reader"
    server = joined.worker.server.address.url()
    with psycopg.connect(server, autocommit=True) as administrator:
        administrator.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'".encode())
    url = make_url(joined.url).set(username=role, password="secret").render_as_string(hide_password=False)
    try:
        with joined.test():
            with psycopg.connect(joined.url) as owner:
                owner.execute(INSERT)
                owner.execute(f"GRANT SELECT ON kept TO {role}".encode())
            with psycopg.connect(url) as reader:
                assert reader.execute("SELECT current_user, session_user").fetchone() == (role, role)
                assert reader.execute(COUNT).fetchone() == (1,)
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute(INSERT)
                reader.rollback()
            assert counted(joined.url) == 1
    finally:
        with psycopg.connect(server, autocommit=True) as administrator:
            administrator.execute(f"DROP ROLE {role}".encode())


def test_a_wrong_password_is_refused(joined: Joined) -> None:
    wrong = make_url(joined.url).set(password="wrong").render_as_string(hide_password=False)

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_another_database_is_another_database(joined: Joined) -> None:
    other = make_url(joined.psycopg_url).set(database="postgres")

    with joined.test(), create_engine(other, poolclass=NullPool).connect() as connection:
        assert connection.execute(text("SELECT current_database()")).scalar() == "postgres"


# -- threads and processes --------------------------------------------------------------------------------


def test_threads(joined: Joined) -> None:
    def work(_: int) -> None:
        asyncio.run(in_asyncpgs_transaction(joined.url))

    with joined.test(), ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(8)))
        assert counted(joined.url) == 8


def child(url: str) -> None:
    asyncio.run(in_psycopg2(url))


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_multiprocessing(joined: Joined, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    with joined.test():
        process = context.Process(target=child, args=(joined.url,))
        process.start()
        process.join(60)

        assert process.exitcode == 0
        assert counted(joined.url) == 1


def test_a_program_that_reads_the_environment(joined: Joined) -> None:
    program = "import os, psycopg2; c = psycopg2.connect(os.environ['DATABASE_URL']); k = c.cursor(); "
    program += f"k.execute({INSERT!r}); c.commit()"

    with joined.test():
        environment = {**os.environ, "DATABASE_URL": joined.url}
        subprocess.run([sys.executable, "-c", program], check=True, env=environment, timeout=60)

        assert counted(joined.url) == 1
