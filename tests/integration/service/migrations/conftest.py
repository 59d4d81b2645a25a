"""Tests of migrations begin with an empty database, and look at that."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pgharness.fixtures import Database


@pytest.fixture
async def engine(pg_empty_database: Database) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(pg_empty_database.asyncpg_url, poolclass=NullPool)
    yield engine
    await engine.dispose()
