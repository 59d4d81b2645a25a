"""People, their tasks, and the types of the fixtures by which tests become one of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Task, User
from tests.support.factories import stored

MakeUser = Callable[..., Awaitable[User]]
MakeTask = Callable[..., Awaitable[Task]]
AsUser = Callable[[User], None]
LogIn = Callable[[User], Awaitable[str]]


@pytest.fixture
def make_user(db_session: AsyncSession) -> MakeUser:
    """Insert a user who cannot log in; the name says which, everything else follows from it."""

    async def make(name: str = "Ada", **columns: Any) -> User:
        described = {"name": name, "email": f"{name.lower()}@example.org", "password_hash": "-"}
        return await stored(db_session, User(**described | columns))

    return make


@pytest.fixture
def make_task(db_session: AsyncSession) -> MakeTask:
    """Insert a task of ``owner``."""

    async def make(owner: User, title: str = "Write the report", **columns: Any) -> Task:
        return await stored(db_session, Task(owner_id=owner.id, title=title, **columns))

    return make


@pytest.fixture
async def ada(make_user: MakeUser) -> User:
    return await make_user("Ada")


@pytest.fixture
async def grace(make_user: MakeUser) -> User:
    return await make_user("Grace")
