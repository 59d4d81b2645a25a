"""What reaches the database past the session dependency."""

from __future__ import annotations

import asyncio

import asyncpg
import httpx
from fastapi import Request
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from truth.shop.app import app
from truth.shop.database import DSN, Session, autocommit_engine, engine, sync_engine
from truth.shop.models import Item


@app.post("/lifespan-engine/{name}")
async def with_lifespan_engine(name: str, request: Request) -> None:
    async with request.app.state.engine.begin() as connection:
        await connection.execute(insert(Item).values(name=name))


async def test_lifespan_engine(client: httpx.AsyncClient) -> None:
    """an engine made in the lifespan commits"""
    await client.post("/lifespan-engine/one")

    found = (await client.get("/items")).json()
    assert found == ["one"], f"the app reads {found}"


@app.post("/module-engine/{name}")
async def with_module_engine(name: str) -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(Item).values(name=name))


async def test_module_engine(client: httpx.AsyncClient) -> None:
    """engine.begin() of the engine made at import commits"""
    await client.post("/items/one")
    await client.post("/module-engine/two")

    found = (await client.get("/items")).json()
    assert found == ["one", "two"], f"the app reads {found}"


@app.post("/autocommit/{name}")
async def with_autocommit(name: str) -> None:
    async with autocommit_engine.connect() as connection:
        await connection.execute(insert(Item).values(name=name))
        await connection.rollback()


async def test_autocommit_engine(client: httpx.AsyncClient) -> None:
    """an AUTOCOMMIT engine writes, and its rollback undoes nothing"""
    await client.post("/autocommit/one")

    found = (await client.get("/items")).json()
    assert found == ["one"], f"the app reads {found}"


@app.get("/report")
def report() -> int | None:
    with sync_engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(Item))


async def test_sync_engine(client: httpx.AsyncClient) -> None:
    """a synchronous engine reads what an asynchronous one has committed

    Two drivers hold two connections: one transaction cannot be theirs both.
    """
    await client.post("/items/one")

    assert (await client.get("/report")).json() == 1, "the synchronous engine does not see the row"


@app.post("/raw-commit/{name}")
async def with_raw_commit(name: str, session: Session) -> None:
    session.add(Item(name=name))
    await session.flush()
    await session.execute(text("COMMIT"))
    await session.rollback()


async def test_raw_commit(client: httpx.AsyncClient) -> None:
    """COMMIT is sent as SQL text"""
    await client.post("/raw-commit/one")

    found = (await client.get("/items")).json()
    assert found == ["one"], f"the app reads {found}"


@app.post("/driver/{name}")
async def with_driver(name: str) -> None:
    connection = await asyncpg.connect(DSN)
    try:
        await connection.execute("INSERT INTO item (name) VALUES ($1)", name)
    finally:
        await connection.close()


async def test_driver_commits(client: httpx.AsyncClient) -> None:
    """asyncpg.connect() past SQLAlchemy commits"""
    await client.post("/driver/one")

    found = (await client.get("/items")).json()
    assert found == ["one"], f"the app reads {found}"


@app.get("/driver-report")
async def with_driver_report() -> int | None:
    connection = await asyncpg.connect(DSN)
    try:
        return await connection.fetchval("SELECT count(*) FROM item")  # type: ignore[no-any-return]  # an int
    finally:
        await connection.close()


async def test_driver_reads(client: httpx.AsyncClient) -> None:
    """asyncpg.connect() past SQLAlchemy reads what a session has committed"""
    await client.post("/items/one")

    assert (await client.get("/driver-report")).json() == 1, "the driver's connection does not see the row"


@app.post("/notify")
async def notify(session: Session) -> None:
    await session.execute(text("NOTIFY items, 'one'"))
    await session.commit()


async def test_notify(client: httpx.AsyncClient, url: str) -> None:
    """NOTIFY reaches a listener at the app's commit

    PostgreSQL delivers at a real commit only.
    """
    listener = await asyncpg.connect(url.replace("+asyncpg", ""))
    heard = asyncio.Event()
    try:
        await listener.add_listener("items", lambda *_: heard.set())
        await client.post("/notify")
        await asyncio.wait_for(heard.wait(), 2)
    except TimeoutError:
        raise AssertionError("nothing is delivered") from None
    finally:
        await listener.close()


@app.post("/index")
async def build_index() -> None:
    async with autocommit_engine.connect() as connection:
        await connection.execute(text("CREATE INDEX CONCURRENTLY truth_index ON item (made_at)"))


async def test_concurrent_index(client: httpx.AsyncClient, db: AsyncSession) -> None:
    """CREATE INDEX CONCURRENTLY on a table that has rows

    It waits for every open transaction that has touched the table, and runs in none.
    """
    await client.post("/items/one")
    await client.post("/index")

    valid = await db.scalar(
        text("SELECT indisvalid FROM pg_index WHERE indexrelid = 'truth_index'::regclass")
    )
    assert valid is True, "the index is not valid"
