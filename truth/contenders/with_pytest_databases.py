"""pytest-databases: a server in a container and one database on it, for the run."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from pytest_databases.docker.postgres import PostgresService
from sqlalchemy import NullPool, create_engine
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from truth.contenders import serving
from truth.shop.database import URL, sync_engine
from truth.shop.models import Base


@pytest.fixture(scope="session")
def postgres_image() -> str:
    return os.environ["TRUTH_IMAGE"]


@pytest.fixture(scope="session")
def database(postgres_service: PostgresService) -> None:
    engine = create_engine(sync_engine.url)
    Base.metadata.create_all(engine)
    engine.dispose()


@pytest.fixture
async def db(database: None) -> AsyncIterator[AsyncSession]:
    engine = create_async_engine(URL, poolclass=NullPool)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session
    await engine.dispose()


@pytest.fixture
async def client(database: None) -> AsyncIterator[httpx.AsyncClient]:
    async with serving.real_async_client() as client:
        yield client


@pytest.fixture
def sync_client(database: None) -> Iterator[Any]:
    with serving.real_test_client() as client:
        yield client


@pytest.fixture
def url(database: None) -> str:
    return URL
