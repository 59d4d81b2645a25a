"""What one test leaves to the next; clients and loops."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import httpx
import pytest
from fastapi import Depends
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from truth.shop.app import app, gates, start
from truth.shop.database import engine, new_session
from truth.shop.models import Item


def test_test_client(sync_client: Any) -> None:
    """Starlette's TestClient in a test that is not async

    TestClient runs the app in a loop of its own, where a connection of another loop cannot be used.
    """
    sync_client.post("/items/one")

    found = sync_client.get("/items").json()
    assert found == ["one"], f"the app reads {found}"


@app.get("/pooled")
async def pooled() -> int | None:
    async with engine.connect() as connection:
        return await connection.scalar(text("SELECT 1"))  # type: ignore[no-any-return]  # an int


@pytest.mark.loops("function")
@pytest.mark.parametrize("turn", [1, 2])
async def test_own_loop(client: httpx.AsyncClient, turn: int) -> None:
    """each test has a loop of its own, and the app an engine with a pool made at import

    The second test is given a connection of the first one's loop, unless the pool is emptied between them.
    """
    assert (await client.get("/pooled")).json() == 1, f"test {turn} reads something else"


@pytest.mark.parametrize("turn", [1, 2])
async def test_same_ids(client: httpx.AsyncClient, db: AsyncSession, turn: int) -> None:
    """the first row of each test has the id 1

    Sequences are not rolled back.
    """
    await client.post("/items/one")

    found = await db.scalar(select(Item.id))
    assert found == 1, f"the first row of test {turn} has the id {found}"


def greeting() -> str:
    return "hello"


@app.get("/greeting")
def greet(text: Annotated[str, Depends(greeting)]) -> str:
    return text


@pytest.mark.parametrize("turn", [1, 2])
async def test_overrides(client: httpx.AsyncClient, turn: int) -> None:
    """a test leaves a dependency override behind"""
    found = (await client.get("/greeting")).json()
    app.dependency_overrides[greeting] = lambda: "overridden"

    assert found == "hello", f"test {turn} finds it {found}"


@app.post("/advisory-lock")
async def take_advisory_lock() -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT pg_advisory_lock(1)"))


async def test_advisory_lock_left(client: httpx.AsyncClient) -> None:
    """the app keeps an advisory lock of its connection

    It outlives a ROLLBACK, and the test, if the connection does.
    """
    await client.post("/advisory-lock")


async def insert_at_last() -> None:
    gate = asyncio.Event()
    gates.append(gate)
    await gate.wait()
    async with new_session() as session:
        session.add(Item(name="late"))
        await session.commit()


@app.post("/at-last", status_code=202)
async def at_last() -> None:
    start(insert_at_last())


async def test_task_outlives_test(client: httpx.AsyncClient) -> None:
    """a background task commits after its test has ended"""
    await client.post("/at-last")
    await client.get("/items")
