"""Who may what, what time it is, and how long it may take."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from truth.shop.app import app
from truth.shop.database import Session, autocommit_engine, new_session


@asynccontextmanager
async def arranged(before: list[str], after: list[str]) -> AsyncIterator[None]:
    """Statements of the owner of the tables, before and after."""
    async with autocommit_engine.connect() as connection:
        for statement in before:
            await connection.execute(text(statement))
    try:
        yield
    finally:
        async with autocommit_engine.connect() as connection:
            for statement in after:
                await connection.execute(text(statement))


@app.get("/notes/{tenant}")
async def notes(tenant: str, session: Session) -> list[str]:
    await session.execute(text("SELECT set_config('app.tenant', :tenant, true)"), {"tenant": tenant})
    return list(await session.scalars(text("SELECT body FROM note ORDER BY 1")))


async def test_row_security(client: httpx.AsyncClient) -> None:
    """row-level security shows each tenant its own rows

    A superuser passes every policy.
    """
    made = [
        "CREATE TABLE note (tenant text, body text)",
        "INSERT INTO note VALUES ('a', 'of a'), ('b', 'of b')",
        "CREATE POLICY own ON note USING (tenant = current_setting('app.tenant', true))",
        "ALTER TABLE note ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE note FORCE ROW LEVEL SECURITY",
    ]
    async with arranged(made, ["DROP TABLE note"]):
        found = (await client.get("/notes/a")).json()
    assert found == ["of a"], f"tenant a reads {found}"


@app.post("/denied")
async def denied(session: Session) -> str:
    try:
        await session.execute(text("INSERT INTO item (name) VALUES ('one')"))
    except DBAPIError as error:
        await session.rollback()
        return str(getattr(error.orig, "sqlstate", ""))
    return "let in"


async def test_missing_grant(client: httpx.AsyncClient) -> None:
    """a privilege that the app's role does not have is denied"""
    async with arranged(
        ["REVOKE INSERT ON item FROM CURRENT_USER"], ["GRANT INSERT ON item TO CURRENT_USER"]
    ):
        found = (await client.post("/denied")).json()
    assert found == "42501", f"the app is {found}"


async def ask(sql: str) -> Any:
    async with new_session() as session:
        return await session.scalar(text(sql))


@app.get("/ask")
async def asked(sql: str) -> str:
    return str(await ask(sql))


async def test_current_timestamp(client: httpx.AsyncClient) -> None:
    """CURRENT_TIMESTAMP moves between two transactions"""
    first = (await client.get("/ask", params={"sql": "SELECT CURRENT_TIMESTAMP"})).json()
    second = (await client.get("/ask", params={"sql": "SELECT CURRENT_TIMESTAMP"})).json()
    assert first != second, "time stands still"


async def test_transaction_numbers(client: httpx.AsyncClient) -> None:
    """two transactions have two numbers"""
    first = (await client.get("/ask", params={"sql": "SELECT txid_current()"})).json()
    second = (await client.get("/ask", params={"sql": "SELECT txid_current()"})).json()
    assert first != second, "both have one"


@app.post("/temporary")
async def temporary() -> int:
    async with new_session() as one, new_session() as two:
        for number, session in enumerate((one, two)):
            await session.execute(text("CREATE TEMPORARY TABLE scratch (x int) ON COMMIT DROP"))
            await session.execute(text(f"INSERT INTO scratch VALUES ({number})"))
        return int(await one.scalar(text("SELECT count(*) FROM scratch")) or 0)


async def test_temporary_tables(client: httpx.AsyncClient) -> None:
    """two sessions each have a temporary table of one name"""
    assert (await client.post("/temporary")).json() == 1, "they share one"


@app.post("/slow")
async def slow() -> str:
    async with new_session() as session:
        await session.execute(text("SET LOCAL statement_timeout = '50ms'"))
        try:
            await session.execute(text("SELECT pg_sleep(2)"))
        except DBAPIError as error:
            await session.rollback()
            return str(getattr(error.orig, "sqlstate", ""))
    return "patient"


async def test_statement_timeout(client: httpx.AsyncClient) -> None:
    """a statement_timeout cancels its own transaction's statement and no other's"""
    await client.post("/items/one")
    code = (await client.post("/slow")).json()
    await asyncio.sleep(0)
    waited = (await client.get("/ask", params={"sql": "SELECT pg_sleep(0.1) IS NULL"})).json()

    found = (await client.get("/items")).json()
    assert (code, waited, found) == ("57014", "False", ["one"]), (
        f"it ends with {code}, and the app reads {found}"
    )
