"""Several sessions at once."""

from __future__ import annotations

import asyncio

import httpx
from fastapi import HTTPException
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from truth.shop.app import app, settle, start
from truth.shop.database import SecondSession, Session, new_session
from truth.shop.models import Item


async def test_flush_is_not_seen(client: httpx.AsyncClient, db: AsyncSession) -> None:
    """what the test has flushed and not committed is not seen by the app

    Where test and app share a transaction the app sees it, and the test passes without its commit.
    """
    db.add(Item(name="one"))
    await db.flush()

    assert (await client.get("/items")).json() == [], "the app sees the row"


async def test_test_rolls_back(client: httpx.AsyncClient, db: AsyncSession) -> None:
    """the app commits while the test's session is open, which then rolls back

    One transaction cannot undo the first change and keep the later one.
    """
    db.add(Item(name="of the test"))
    await db.flush()
    await client.post("/items/one")
    await db.rollback()

    found = (await client.get("/items")).json()
    assert found == ["one"], f"the app reads {found}"


@app.post("/crosswise")
async def crosswise(one: Session, two: SecondSession) -> None:
    for session, name in ((one, "one"), (two, "two")):
        session.add(Item(name=name))
        await session.flush()
    await one.commit()
    await two.commit()


async def test_closed_out_of_order(client: httpx.AsyncClient) -> None:
    """two sessions are open, and the first to begin commits first

    Savepoints are a stack: the release of the lower one ends the upper one too.
    """
    await client.post("/crosswise")

    found = (await client.get("/items")).json()
    assert found == ["one", "two"], f"the app reads {found}"


@app.post("/one-of-two")
async def one_of_two(one: Session, two: SecondSession) -> None:
    for session, name in ((one, "one"), (two, "two")):
        session.add(Item(name=name))
        await session.flush()
    await one.rollback()
    await two.commit()


async def test_one_rolls_back(client: httpx.AsyncClient) -> None:
    """two sessions are open, the first to begin rolls back and the other commits"""
    await client.post("/one-of-two")

    found = (await client.get("/items")).json()
    assert found == ["two"], f"the app reads {found}"


async def test_gather(client: httpx.AsyncClient) -> None:
    """asyncio.gather of five requests"""
    answers = await asyncio.gather(*(client.post(f"/items/{number}") for number in range(5)))

    assert [answer.status_code for answer in answers] == [201] * 5, "a request failed"
    found = (await client.get("/items")).json()
    assert sorted(found) == ["0", "1", "2", "3", "4"], f"the app reads {found}"


async def test_unique_race(client: httpx.AsyncClient) -> None:
    """two requests race for a unique key"""
    answers = await asyncio.gather(client.post("/items/one"), client.post("/items/one"))

    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201, 409], f"the requests answer {codes}"
    found = (await client.get("/items")).json()
    assert found == ["one"], f"the app reads {found}"


@app.get("/slow")
async def slow(session: Session) -> None:
    try:
        await asyncio.wait_for(session.execute(text("SELECT pg_sleep(60)")), 0.2)
    except TimeoutError:
        raise HTTPException(504) from None


async def test_cancelled_query(client: httpx.AsyncClient) -> None:
    """a query is cancelled by wait_for, and the app goes on

    The driver gives the connection up; a pool has others, one shared connection has none.
    """
    await client.post("/items/one")
    answer = await client.get("/slow")
    await client.post("/items/two")

    assert answer.status_code == 504, "the query was not cancelled"
    found = (await client.get("/items")).json()
    assert found == ["one", "two"], f"the app reads {found}"


async def insert_later(name: str) -> None:
    async with new_session() as session:
        session.add(Item(name=name))
        await session.commit()


@app.post("/later/{name}", status_code=202)
async def later(name: str) -> None:
    start(insert_later(name))


async def test_background_task(client: httpx.AsyncClient) -> None:
    """a background task outlives the request and commits

    It opens a session of its own, which a dependency override does not reach.
    """
    await client.post("/later/one")
    (problem,) = await settle()
    if problem is not None:
        raise problem

    found = (await client.get("/items")).json()
    assert found == ["one"], f"the app reads {found}"


@app.post("/claims")
async def claim(one: Session, two: SecondSession) -> list[int | None]:
    waiting = select(Item.id).order_by(Item.id).limit(1).with_for_update(skip_locked=True)
    claimed = [await one.scalar(waiting), await two.scalar(waiting)]
    await one.commit()
    await two.commit()
    return claimed


async def test_skip_locked(client: httpx.AsyncClient) -> None:
    """SKIP LOCKED gives two workers different rows

    A connection is not kept out by its own locks.
    """
    for name in ("one", "two"):
        await client.post(f"/items/{name}")

    first, second = (await client.post("/claims")).json()

    assert first != second, "both workers get the same row"


@app.post("/serializable")
async def serializable(one: Session, two: SecondSession) -> str:
    for session in (one, two):
        await session.connection(execution_options={"isolation_level": "SERIALIZABLE"})
    try:
        for session, name in ((one, "one"), (two, "two")):
            await session.scalar(select(func.count()).select_from(Item))
            session.add(Item(name=name))
            await session.flush()
        await one.commit()
        await two.commit()
    except DBAPIError as error:
        await two.rollback()
        return str(getattr(error.orig, "sqlstate", ""))
    return "both committed"


async def test_serializable(client: httpx.AsyncClient) -> None:
    """two SERIALIZABLE transactions conflict"""
    answer = (await client.post("/serializable")).json()

    assert answer == "40001", f"no serialization failure: {answer}"


@app.post("/leader")
async def leader(one: Session, two: SecondSession) -> list[bool]:
    lock = text("SELECT pg_try_advisory_xact_lock(1)")
    won = [bool(await one.scalar(lock)), bool(await two.scalar(lock))]
    await one.commit()
    await two.commit()
    return won


async def test_advisory_lock_excludes(client: httpx.AsyncClient) -> None:
    """an advisory lock keeps a second session out"""
    won = (await client.post("/leader")).json()

    assert won == [True, False], "both sessions get the lock"
