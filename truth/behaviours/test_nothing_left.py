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
    left += ["an advisory lock"] * await is_locked(db)
    assert left == [], f"the next test finds {', '.join(left)}"


async def is_locked(db: AsyncSession) -> bool:
    """Whether somebody has the advisory lock of the behaviours; who disconnects just now gives it back."""
    for _ in range(20):
        if await db.scalar(text("SELECT pg_try_advisory_xact_lock(1)")):
            return False
        await asyncio.sleep(0.05)
    return True
