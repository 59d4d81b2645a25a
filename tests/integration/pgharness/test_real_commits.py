"""What only real connections and real commits show, each in a database of the test's own.

Every test makes the tables anew: what one had left behind would fail the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI, HTTPException
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from pgharness.fixtures import Database
from tests.support.raw_apps import asyncpg_pool, psycopg_pool_of_connections, raw_app

pytestmark = pytest.mark.pg(isolation="database")

TABLES = """
    CREATE TABLE customer (name text PRIMARY KEY);
    CREATE TABLE job (id int PRIMARY KEY, worker text);
    INSERT INTO job (id) VALUES (1), (2);
    CREATE TABLE doctor (name text PRIMARY KEY, on_call bool NOT NULL);
    INSERT INTO doctor VALUES ('alice', true), ('bob', true);
    CREATE TYPE mood AS ENUM ('calm');
    CREATE TABLE day (mood mood);
"""
SERIALIZATION_FAILURE = "40001"

# -- a service as many are: engines at module level, commits in the endpoints ---------------------------

engine = create_async_engine(os.environ["SERVICE_DATABASE_URL"])
small = create_async_engine(
    os.environ["SERVICE_DATABASE_URL"], pool_size=1, max_overflow=0, pool_timeout=0.05
)
serializable = create_async_engine(os.environ["SERVICE_DATABASE_URL"], isolation_level="SERIALIZABLE")
app = FastAPI()
app.state.attempts = 0
app.state.both_have_read = None


@app.post("/customers", status_code=201)
async def register(name: str) -> None:
    try:
        async with engine.begin() as connection:
            await connection.execute(text("INSERT INTO customer VALUES (:name)"), {"name": name})
            await connection.execute(text("SELECT pg_notify('customers', :name)"), {"name": name})
    except IntegrityError:
        raise HTTPException(409) from None


@app.get("/customers")
async def customers() -> int:
    async with engine.connect() as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM customer")))


@app.get("/small")
async def small_pool() -> None:
    try:
        async with small.connect():
            pass
    except PoolTimeoutError:
        raise HTTPException(503) from None


@app.post("/doctors/{name}/leave")
async def leave(name: str) -> str:
    """At least one doctor stays: true under SERIALIZABLE alone, where the loser of two is repeated."""
    while True:
        app.state.attempts += 1
        try:
            async with serializable.begin() as connection:
                left = await connection.scalar(text("SELECT count(*) FROM doctor WHERE on_call"))
                if app.state.attempts <= 2:
                    await app.state.both_have_read.wait()
                if left < 2:
                    return "stays"
                await connection.execute(
                    text("UPDATE doctor SET on_call = false WHERE name = :name"), {"name": name}
                )
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", "") != SERIALIZATION_FAILURE:
                raise
        else:
            return "left"


RAW = [
    pytest.param(raw_app(asyncpg_pool), id="asyncpg"),
    pytest.param(raw_app(psycopg_pool_of_connections), id="psycopg"),
]
LEFT_OPEN: list[AsyncConnection] = []

# -- fixtures -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pg_app(request: pytest.FixtureRequest) -> FastAPI:
    return getattr(request, "param", app)


@pytest.fixture(autouse=True)
async def tables(pg_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAW_DATABASE_URL", pg_database.url)
    app.state.attempts = 0
    async with connected(pg_database) as connection:
        await connection.execute(TABLES)


@contextlib.asynccontextmanager
async def connected(database: Database) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection of the test's own."""
    connection = await asyncpg.connect(database.url)
    try:
        yield connection
    finally:
        await connection.close()


# -- the behaviours -------------------------------------------------------------------------------------


async def test_a_notification_is_delivered_at_the_commit(
    client: httpx.AsyncClient, pg_database: Database
) -> None:
    heard: asyncio.Queue[object] = asyncio.Queue()
    async with connected(pg_database) as listener:
        await listener.add_listener("customers", lambda *message: heard.put_nowait(message[-1]))

        await client.post("/customers", params={"name": "ann"})

        assert await asyncio.wait_for(heard.get(), 10) == "ann"


async def test_two_workers_skip_each_other_s_jobs() -> None:
    take = text("SELECT id FROM job WHERE worker IS NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED")

    async with engine.begin() as one, engine.begin() as two, engine.begin() as three:
        taken = [await worker.scalar(take) for worker in (one, two, three)]

    assert taken == [1, 2, None]


async def test_a_serializable_conflict_is_retried(client: httpx.AsyncClient, pg_database: Database) -> None:
    app.state.both_have_read = asyncio.Barrier(2)

    answers = await asyncio.gather(client.post("/doctors/alice/leave"), client.post("/doctors/bob/leave"))

    assert sorted(answer.json() for answer in answers) == ["left", "stays"]
    assert app.state.attempts == 3
    async with connected(pg_database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM doctor WHERE on_call") == 1


async def test_an_index_is_created_concurrently() -> None:
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")

    async with autocommit.connect() as connection:
        await connection.execute(text("CREATE INDEX CONCURRENTLY by_worker ON job (worker)"))

        valid = text("SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_worker'::regclass")
        assert await connection.scalar(valid)


async def test_a_new_enum_value_is_used_at_once() -> None:
    async with engine.begin() as connection:
        await connection.execute(text("ALTER TYPE mood ADD VALUE 'merry'"))

    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO day VALUES ('merry')"))
        assert await connection.scalar(text("SELECT mood FROM day")) == "merry"


async def test_of_two_requests_for_one_key_one_wins(client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post("/customers", params={"name": "ann"}) for _ in range(2)))

    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert (await client.get("/customers")).json() == 1


async def test_the_loser_of_a_race_waits_for_the_winner_s_commit(
    client: httpx.AsyncClient, pg_database: Database
) -> None:
    async with connected(pg_database) as winner, connected(pg_database) as observer:
        begun = winner.transaction()
        await begun.start()
        await winner.execute("INSERT INTO customer VALUES ('ann')")
        request = asyncio.create_task(client.post("/customers", params={"name": "ann"}))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        while not await observer.fetchval(waits + "AND wait_event_type = 'Lock'"):
            assert not request.done()

        await begun.commit()

        assert (await request).status_code == 409


async def test_an_exhausted_pool_times_out_and_recovers(client: httpx.AsyncClient) -> None:
    async with small.connect():
        exhausted = (await client.get("/small")).status_code
    recovered = (await client.get("/small")).status_code

    assert (exhausted, recovered) == (503, 200)


@pytest.mark.parametrize("run", [1, 2])
def test_starlette_s_test_client(sync_client: Any, run: int) -> None:
    statuses = [sync_client.post("/customers", params={"name": "ann"}).status_code for _ in range(2)]

    assert (statuses, sync_client.get("/customers").json()) == ([201, 409], 1)


@pytest.mark.parametrize("run", [1, 2])
@pytest.mark.parametrize("pg_app", RAW, indirect=True)
async def test_an_app_without_sqlalchemy(client: httpx.AsyncClient, pg_database: Database, run: int) -> None:
    await client.post("/customers", params={"name": "ann"})

    async with connected(pg_database) as connection:
        stored = await connection.fetchval("SELECT name FROM customer")
    assert (stored, (await client.get("/customers")).json()) == ("ann", 1)


@pytest.mark.parametrize("pg_app", RAW, indirect=True)
def test_an_app_without_sqlalchemy_in_a_plain_test(sync_client: Any) -> None:
    sync_client.post("/customers", params={"name": "ann"})

    assert sync_client.get("/customers").json() == 1


@pytest.mark.parametrize("run", [1, 2])
async def test_a_transaction_left_open_hinders_nobody(pg_database: Database, run: int) -> None:
    connection = await create_async_engine(pg_database.asyncpg_url).connect()
    await connection.execute(text("LOCK TABLE job"))
    LEFT_OPEN.append(connection)
