"""The test that runs after each behaviour, under the isolation of the same contender."""

from __future__ import annotations

import asyncio

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from truth.shop.app import gates, settle
from truth.shop.models import Item


async def test_nothing_left(after: str, db: AsyncSession) -> None:
    """the next test finds the database as the first one did"""
    for gate in gates:
        gate.set()
    gates.clear()
    await settle()
    left = [f"the row {name!r}" for name in await db.scalars(select(Item.name))]
    left += [f"line {number}" for number in await db.scalars(text("SELECT id FROM line"))]
    left += await db.scalars(text("SELECT indexname FROM pg_indexes WHERE indexname = 'truth_index'"))
    left += ["an advisory lock"] * await held_locks(db)
    assert left == [], f"the next test finds {', '.join(left)}"


async def held_locks(db: AsyncSession) -> int:
    """The advisory locks in this database; a connection that ends just now gives its own back."""
    query = text(
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database "
        "WHERE locktype = 'advisory' AND datname = current_database()"
    )
    count = 0
    for _ in range(20):
        count = await db.scalar(query) or 0
        if count == 0:
            break
        await asyncio.sleep(0.05)
    return count
