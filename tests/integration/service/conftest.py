"""Rows to start from."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Task, User
from tests.support.couriers import due, engine, new_courier, receiver, webhook
from tests.support.factories import make_delivery, make_post, make_webhook

__all__ = [
    "due",
    "engine",
    "make_delivery",
    "make_post",
    "make_webhook",
    "new_courier",
    "receiver",
    "webhook",
]  # fixtures of these directories too

MakeUser = Callable[..., Awaitable[User]]
MakeTask = Callable[..., Awaitable[Task]]


@pytest.fixture
def make_user(db_session: AsyncSession) -> MakeUser:
    """Insert a user; the name says which, everything else follows from it."""

    async def make(name: str = "Ada", **columns: Any) -> User:
        user = User(**{"name": name, "email": f"{name.lower()}@example.org", "password_hash": "-", **columns})
        db_session.add(user)
        await db_session.commit()
        return user

    return make


@pytest.fixture
def make_task(db_session: AsyncSession) -> MakeTask:
    """Insert a task of ``owner``."""

    async def make(owner: User, title: str = "Write the report", **columns: Any) -> Task:
        task = Task(owner_id=owner.id, title=title, **columns)
        db_session.add(task)
        await db_session.commit()
        return task

    return make


@pytest.fixture
async def ada(make_user: MakeUser) -> User:
    return await make_user("Ada")


@pytest.fixture
async def grace(make_user: MakeUser) -> User:
    return await make_user("Grace")
