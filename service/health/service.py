import asyncio
import dataclasses

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.database import UNAVAILABLE
from service.errors import DatabaseUnavailableError


@dataclasses.dataclass(slots=True)
class Stopping:
    """Whether this process has been told to stop: it still serves, and wants no more to do."""

    requested: bool = False


async def ask_database(engine: AsyncEngine, patience: float) -> None:
    """Return once the database has answered a query.

    Raises:
        DatabaseUnavailableError: It refused, or took longer than ``patience`` seconds.
    """
    try:
        async with asyncio.timeout(patience), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except UNAVAILABLE as error:
        raise DatabaseUnavailableError from error
