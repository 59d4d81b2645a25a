"""The usual hand-written fixture, at its best.

SQLAlchemy's recipe for joining a session into an external transaction, with savepoints; a session
of its own for each request; no pool; the dependencies overridden, as FastAPI's documentation says.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine

from truth.contenders import serving
from truth.shop.app import app
from truth.shop.database import URL, get_second_session, get_session


@pytest.fixture
async def connection() -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(URL, poolclass=NullPool)
    async with engine.connect() as connection:
        transaction = await connection.begin()
        yield connection
        await transaction.rollback()
    await engine.dispose()


def joined(connection: AsyncConnection) -> AsyncSession:
    return AsyncSession(connection, join_transaction_mode="create_savepoint", expire_on_commit=False)


@pytest.fixture
async def db(connection: AsyncConnection) -> AsyncIterator[AsyncSession]:
    async with joined(connection) as session:
        yield session


@pytest.fixture
def overridden(connection: AsyncConnection) -> Iterator[None]:
    async def session_of_test() -> AsyncIterator[AsyncSession]:
        async with joined(connection) as session:
            yield session

    async def second_session_of_test() -> AsyncIterator[AsyncSession]:
        async with joined(connection) as session:
            yield session

    app.dependency_overrides[get_session] = session_of_test
    app.dependency_overrides[get_second_session] = second_session_of_test
    yield
    app.dependency_overrides.clear()


@pytest.fixture
async def client(overridden: None) -> AsyncIterator[httpx.AsyncClient]:
    async with serving.async_client() as client:
        yield client


@pytest.fixture
def sync_client(overridden: None) -> Iterator[Any]:
    with serving.test_client() as client:
        yield client


@pytest.fixture
def url() -> str:
    return URL
