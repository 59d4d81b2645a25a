"""Drivers, pools, roles and processes of every kind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from urllib.parse import urlsplit

import asyncpg
import httpx
import psycopg2
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import NullPool, create_engine, insert, select, text

from truth.shop.app import app
from truth.shop.database import DSN, autocommit_engine, sync_engine
from truth.shop.models import Item

ROLE, PASSWORD = "truth_clerk", "of-a-clerk"
WRITES = """
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"].replace("+asyncpg", "")) as connection:
    connection.execute("INSERT INTO item (name) VALUES ('of a child')")
    names = [name for name, in connection.execute("SELECT name FROM item ORDER BY id")]
print(",".join(names))
"""


@app.post("/psycopg2/{name}")
def with_psycopg2(name: str) -> None:
    connection = psycopg2.connect(DSN)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO item (name) VALUES (%s)", (name,))
    finally:
        connection.close()


async def test_psycopg2(client: httpx.AsyncClient) -> None:
    """psycopg2 commits, and an asynchronous engine reads it"""
    await client.post("/psycopg2/one")

    found = (await client.get("/items")).json()
    assert found == ["one"], f"the app reads {found}"


@app.post("/asyncpg-pool/{name}")
async def with_asyncpg_pool(name: str) -> None:
    async with asyncpg.create_pool(DSN, min_size=1, max_size=2) as pool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("INSERT INTO item (name) VALUES ($1)", name)
        await pool.execute("UPDATE item SET name = name || ' again'")


async def test_asyncpg_pool(client: httpx.AsyncClient) -> None:
    """a pool of asyncpg's commits, and gives its connections out again"""
    await client.post("/asyncpg-pool/one")

    found = (await client.get("/items")).json()
    assert found == ["one again"], f"the app reads {found}"


@app.post("/psycopg-pool/{name}")
async def with_psycopg_pool(name: str) -> list[str]:
    async with AsyncConnectionPool(DSN, min_size=1, max_size=2, open=False) as pool:
        async with pool.connection() as connection:
            await connection.execute("INSERT INTO item (name) VALUES (%s)", (name,))
        async with pool.connection() as connection:
            cursor = await connection.execute("SELECT name FROM item ORDER BY id")
            return [name for (name,) in await cursor.fetchall()]


async def test_psycopg_pool(client: httpx.AsyncClient) -> None:
    """a pool of psycopg_pool's commits, and reads what a session has committed"""
    await client.post("/items/one")

    assert (await client.post("/psycopg-pool/two")).json() == ["one", "two"]
    found = (await client.get("/items")).json()
    assert found == ["one", "two"], f"the app reads {found}"


@app.post("/sync/{name}")
def with_sync_engine(name: str) -> None:
    with sync_engine.begin() as connection:
        connection.execute(insert(Item).values(name=name))


async def test_sync_engine_commits(client: httpx.AsyncClient) -> None:
    """a synchronous engine commits in its thread, and an asynchronous one reads and goes on"""
    await client.post("/items/one")
    await client.post("/sync/two")
    await client.post("/items/three")

    found = (await client.get("/items")).json()
    assert found == ["one", "two", "three"], f"the app reads {found}"


@app.get("/as-a-clerk")
def as_a_clerk() -> list[str]:
    address = urlsplit(DSN)
    login = f"{ROLE}:{PASSWORD}@{address.hostname}:{address.port}{address.path}"
    engine = create_engine(f"postgresql+psycopg://{login}", poolclass=NullPool)
    with engine.connect() as connection:
        names = list(connection.scalars(select(Item.name)))
        user = connection.scalar(text("SELECT current_user"))
        may_write = connection.scalar(text("SELECT has_table_privilege('item', 'INSERT')"))
    return [*names, str(user), f"may write: {may_write}"]


async def test_second_role(client: httpx.AsyncClient) -> None:
    """another role logs in, and may do what it has been granted"""
    async with autocommit_engine.connect() as owner:
        await owner.execute(text(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"))
        try:
            await owner.execute(text(f"GRANT SELECT ON item TO {ROLE}"))
            await client.post("/items/one")

            found = (await client.get("/as-a-clerk")).json()
        finally:
            await owner.execute(text(f"REVOKE SELECT ON item FROM {ROLE}"))
            await owner.execute(text(f"DROP ROLE {ROLE}"))
    assert found == ["one", ROLE, "may write: False"], f"the clerk reads {found}"


async def run(*command: str) -> str:
    """What another process prints."""
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0, f"{command[0]} has failed"
    return output.decode().strip()


@app.post("/child")
async def with_child() -> str:
    return await run(sys.executable, "-c", WRITES)


async def test_subprocess(client: httpx.AsyncClient) -> None:
    """another process reads what the app has committed, and commits"""
    await client.post("/items/one")

    names = (await client.post("/child")).json()
    assert names == "one,of a child", f"the other process reads {names}"
    found = (await client.get("/items")).json()
    assert found == ["one", "of a child"], f"the app reads {found}"


async def test_psql(client: httpx.AsyncClient) -> None:
    """psql, beside a test that stands still, reads what has been committed"""
    await client.post("/items/one")

    names = await run("psql", "-XAt", "-d", DSN, "-c", "SELECT name FROM item")
    assert names == "one", f"psql reads {names!r}"
