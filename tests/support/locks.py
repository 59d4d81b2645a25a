"""Two transactions in an order that a test decides."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

WAITING = text(
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
    " WHERE NOT granted AND datname = current_database()"
)


async def somebody_waits(session: AsyncSession) -> None:
    """Return once a transaction of this database waits for a lock."""
    while not await session.scalar(WAITING):
        await session.rollback()  # what pg_stat_activity says is kept for a transaction
