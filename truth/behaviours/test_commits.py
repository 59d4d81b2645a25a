"""Commits and rollbacks of one session at a time."""

from __future__ import annotations

import contextlib

import httpx
from fastapi import HTTPException
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from truth.shop.app import app
from truth.shop.database import Session
from truth.shop.models import Item, Line


async def test_app_commits(client: httpx.AsyncClient, db: AsyncSession) -> None:
    """the app commits and the test reads"""
    await client.post("/items/one")

    assert list(await db.scalars(select(Item.name))) == ["one"], "the test does not see the row"


async def test_test_commits(client: httpx.AsyncClient, db: AsyncSession) -> None:
    """the test commits and the app reads"""
    db.add(Item(name="one"))
    await db.commit()

    assert (await client.get("/items")).json() == ["one"], "the app does not see the row"


@app.post("/change-of-mind/{name}")
async def change_of_mind(name: str, session: Session) -> None:
    session.add(Item(name=name))
    await session.flush()
    await session.rollback()


async def test_rollback_after_commit(client: httpx.AsyncClient) -> None:
    """the app rolls back after an earlier session has committed"""
    await client.post("/items/one")
    await client.post("/change-of-mind/two")
    await client.post("/items/three")

    found = (await client.get("/items")).json()
    assert found == ["one", "three"], f"the app reads {found}"


@app.post("/first-free")
async def first_free(session: Session) -> None:
    for name in ("one", "two"):
        session.add(Item(name=name))
        try:
            await session.commit()
        except IntegrityError:
            await session.rollback()


async def test_integrity_error(client: httpx.AsyncClient) -> None:
    """IntegrityError, rolled back, and on with the same session"""
    await client.post("/items/one")
    await client.post("/first-free")

    found = (await client.get("/items")).json()
    assert found == ["one", "two"], f"the app reads {found}"


@app.post("/careless")
async def careless(session: Session) -> None:
    session.add(Item(name="lost"))
    await session.flush()
    with contextlib.suppress(DBAPIError):
        await session.execute(text("SELECT 1 / 0"))
    await session.commit()


async def test_caught_error(client: httpx.AsyncClient) -> None:
    """the app catches a database error and commits

    PostgreSQL answers COMMIT of a failed transaction with a silent ROLLBACK; RELEASE SAVEPOINT raises.
    """
    await client.post("/items/one")
    await client.post("/careless")

    found = (await client.get("/items")).json()
    assert found == ["one"], f"the app reads {found}"


@app.post("/nested")
async def nested(session: Session) -> None:
    session.add(Item(name="two"))
    await session.flush()
    with contextlib.suppress(IntegrityError):
        async with session.begin_nested():
            session.add(Item(name="one"))
            await session.flush()
    session.add(Item(name="three"))
    await session.commit()


async def test_begin_nested(client: httpx.AsyncClient) -> None:
    """begin_nested() fails and its session goes on"""
    await client.post("/items/one")
    await client.post("/nested")

    found = (await client.get("/items")).json()
    assert found == ["one", "two", "three"], f"the app reads {found}"


@app.post("/lines/{item_id}", status_code=201)
async def add_line(item_id: int, session: Session) -> None:
    session.add(Line(item_id=item_id))
    await session.flush()
    try:
        await session.commit()
    except IntegrityError:
        await session.rollback()
        raise HTTPException(409) from None


async def test_deferred_constraint(client: httpx.AsyncClient) -> None:
    """a deferred constraint fires at the app's commit

    A commit that is RELEASE SAVEPOINT checks no deferred constraint, and a rolled back test never does.
    """
    response = await client.post("/lines/999")

    assert response.status_code == 409, "the commit succeeds"


async def test_now_moves(client: httpx.AsyncClient, db: AsyncSession) -> None:
    """now() moves between two transactions

    Inside one transaction now() stands still, and so does a column's default.
    """
    await client.post("/items/one")
    await client.post("/items/two")

    moments = await db.scalar(select(func.count(func.distinct(Item.made_at))))
    assert moments == 2, "both rows have the same time"
