"""Two transactions that would both make the first user: the second waits for the first to end."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from service.models import User
from service.users.repository import UserRepository
from tests.support.locks import somebody_waits

pytestmark = pytest.mark.pg(isolation="database")


def ada() -> User:
    return User(email="ada@example.org", name="Ada", password_hash="-", is_admin=True)


async def test_whoever_comes_second_is_not_told_to_be_first(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as one, AsyncSession(engine) as other:
        assert await UserRepository(one).will_be_first()
        await UserRepository(one).add(ada())

        await other.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            await UserRepository(other).will_be_first()
        await other.rollback()
        await one.commit()

        assert not await UserRepository(other).will_be_first()


async def test_whoever_has_waited_for_the_first_is_not_the_first(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as one, AsyncSession(engine) as other, AsyncSession(engine) as onlooker:
        await UserRepository(one).will_be_first()
        await UserRepository(one).add(ada())
        waiting = asyncio.create_task(UserRepository(other).will_be_first())
        await somebody_waits(onlooker)
        await one.commit()

        assert not await waiting


async def test_if_the_first_gives_up_the_next_is_first(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as one, AsyncSession(engine) as other:
        await UserRepository(one).will_be_first()
        await UserRepository(one).add(ada())
        await one.rollback()

        assert await UserRepository(other).will_be_first()


async def test_once_there_is_somebody_nobody_waits(engine: AsyncEngine) -> None:
    async with AsyncSession(engine) as one, AsyncSession(engine) as other:
        await UserRepository(one).add(ada())
        await one.commit()

        await UserRepository(one).will_be_first()

        await other.execute(text("SET LOCAL lock_timeout = '50ms'"))
        assert not await UserRepository(other).will_be_first()
