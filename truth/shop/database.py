"""How the app reaches its database, as most do: engines made at import, a session as a dependency.

fastapi-sqla is a library for the app and not only for its tests: with it, the sessions are its.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

URL = os.environ["DATABASE_URL"]
DSN = URL.replace("+asyncpg", "")
WITH_FASTAPI_SQLA = os.environ.get("TRUTH_SESSIONS") == "fastapi-sqla"

engine = create_async_engine(URL)
autocommit_engine = create_async_engine(URL, isolation_level="AUTOCOMMIT")
sync_engine = create_engine(URL.replace("+asyncpg", "+psycopg"))

new_session: Any
get_session: Any
if WITH_FASTAPI_SQLA:
    from fastapi_sqla import AsyncSessionDependency, open_async_session

    new_session = open_async_session
    get_session = AsyncSessionDependency()
else:
    new_session = async_sessionmaker(engine, expire_on_commit=False)

    async def get_session() -> AsyncIterator[AsyncSession]:
        """The session of a request; what is not committed is rolled back."""
        async with new_session() as session:
            yield session


async def get_second_session() -> AsyncIterator[AsyncSession]:
    """A second session of the same request, such as that of an audit log."""
    async with new_session() as session:
        yield session


Session = Annotated[AsyncSession, Depends(get_session)]
SecondSession = Annotated[AsyncSession, Depends(get_second_session)]


async def dispose() -> None:
    """Close what the pools hold, as a test suite does before its database or its loop goes away."""
    await engine.dispose()
    await autocommit_engine.dispose()
    sync_engine.dispose()
