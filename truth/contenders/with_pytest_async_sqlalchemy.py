"""pytest-async-sqlalchemy: its two ways, ``db_session`` and ``scoped_database``."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from truth.contenders import serving
from truth.shop.app import app
from truth.shop.database import URL, get_second_session, get_session
from truth.shop.models import Base

SCOPED = os.environ["TRUTH_WAY"] == "scoped_database"


@pytest.fixture(scope="session")
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


@pytest.fixture(scope="session")
def _database_url() -> str:
    return URL.removesuffix("_function_scoped")


@pytest.fixture(scope="session")
def init_database() -> Callable[..., None]:
    return Base.metadata.create_all


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue("scoped_database" if SCOPED else "database"))


if SCOPED:

    @pytest.fixture
    async def db(scoped_database: str) -> AsyncIterator[AsyncSession]:
        engine = create_async_engine(scoped_database, poolclass=NullPool)
        async with AsyncSession(engine, expire_on_commit=False) as session:
            yield session
        await engine.dispose()

    @pytest.fixture
    async def client(scoped_database: str) -> AsyncIterator[httpx.AsyncClient]:
        async with serving.real_async_client() as client:
            yield client

    @pytest.fixture
    def sync_client(scoped_database: str) -> Iterator[Any]:
        with serving.real_test_client() as client:
            yield client

else:

    @pytest.fixture
    async def db(db_session: AsyncSession) -> AsyncSession:
        return db_session

    @pytest.fixture
    def overridden(db_session: AsyncSession) -> Iterator[None]:
        app.dependency_overrides[get_session] = lambda: db_session
        app.dependency_overrides[get_second_session] = lambda: db_session
        yield
        del app.dependency_overrides[get_session], app.dependency_overrides[get_second_session]

    @pytest.fixture
    async def client(overridden: None) -> AsyncIterator[httpx.AsyncClient]:
        async with serving.async_client() as client:
            yield client

    @pytest.fixture
    def sync_client(overridden: None) -> Iterator[Any]:
        with serving.test_client() as client:
            yield client
