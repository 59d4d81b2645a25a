"""pytest-postgresql: a template loaded once, cloned for each test under the same name."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from pytest_postgresql import factories
from sqlalchemy import NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from truth.contenders import serving
from truth.shop.database import URL
from truth.shop.models import Base

server = urlsplit(os.environ["DATABASE_URL"])


def load(**parts: Any) -> None:
    address = f"{parts['user']}:{parts['password']}@{parts['host']}:{parts['port']}/{parts['dbname']}"
    engine = create_engine(f"postgresql+psycopg://{address}")
    Base.metadata.create_all(engine)
    engine.dispose()


postgresql_server = factories.postgresql_noproc(
    host=server.hostname,
    port=server.port,
    user=server.username,
    password=server.password,
    dbname=server.path.removeprefix("/"),
    load=[load],
)
postgresql = factories.postgresql("postgresql_server")


@pytest.fixture
async def db(postgresql: Any) -> AsyncIterator[AsyncSession]:
    engine = create_async_engine(URL, poolclass=NullPool)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session
    await engine.dispose()


@pytest.fixture
async def client(postgresql: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with serving.real_async_client() as client:
        yield client


@pytest.fixture
def sync_client(postgresql: Any) -> Iterator[Any]:
    with serving.real_test_client() as client:
        yield client


@pytest.fixture
def url(postgresql: Any) -> str:
    return URL
