"""fastapi-sqla: the app uses its sessions, and its pytest plugin puts its engine on one connection."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from truth.contenders import serving
from truth.shop.database import URL


@pytest.fixture(scope="session")
def db_url() -> str:
    return URL.replace("+asyncpg", "+psycopg")


@pytest.fixture
def sqla_modules() -> None:
    import truth.shop.models  # noqa: F401, PLC0415 - fills the metadata once the engine is set


@pytest.fixture
async def db(async_session: AsyncSession) -> AsyncSession:
    return async_session


@pytest.fixture
async def client(async_session: AsyncSession) -> AsyncIterator[httpx.AsyncClient]:
    async with serving.async_client() as client:
        yield client


@pytest.fixture
def sync_client(async_session: AsyncSession) -> Iterator[Any]:
    with serving.test_client() as client:
        yield client


@pytest.fixture
def url() -> str:
    return os.environ["DATABASE_URL"]
