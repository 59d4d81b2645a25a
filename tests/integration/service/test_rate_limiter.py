"""Counting in PostgreSQL: many at once, and no hit is lost."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from service.errors import TooManyRequestsError
from service.limits.service import RateLimiter
from service.models import RateLimit


@pytest.fixture
def limiter(engine: AsyncEngine) -> RateLimiter:
    return RateLimiter(async_sessionmaker(engine), most=3, window=timedelta(minutes=1))


@pytest.mark.pg(isolation="database")
async def test_of_many_hits_at_once_the_allowed_ones_pass_and_all_are_counted(
    limiter: RateLimiter, db_session: AsyncSession
) -> None:
    outcomes = await asyncio.gather(
        *(limiter.hit("knock", "192.0.2.7") for _ in range(10)), return_exceptions=True
    )

    assert [type(outcome) for outcome in outcomes].count(TooManyRequestsError) == 7
    assert outcomes.count(None) == 3
    assert await db_session.scalar(select(RateLimit.hits)) == 10


async def test_a_hit_is_kept_even_if_what_follows_is_rolled_back(
    limiter: RateLimiter, db_session: AsyncSession
) -> None:
    await limiter.hit("knock", "192.0.2.7")
    await db_session.rollback()

    assert await db_session.scalar(select(RateLimit.hits)) == 1


async def test_counting_is_not_logged_ahead(db_session: AsyncSession) -> None:
    query = text("SELECT relpersistence FROM pg_class WHERE oid = 'rate_limits'::regclass")

    assert await db_session.scalar(query) == b"u"
