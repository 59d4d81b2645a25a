"""People, their tasks, and ways to be one of them."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
import respx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from service import clock
from service.app import create_app
from service.auth.dependencies import current_user
from service.auth.tokens import Tokens
from service.models import LoginSession, Task, User
from tests.support.factories import make_delivery, make_post, make_webhook

__all__ = ["make_delivery", "make_post", "make_webhook"]  # fixtures of these directories too

MakeUser = Callable[..., Awaitable[User]]
MakeTask = Callable[..., Awaitable[Task]]
AsUser = Callable[[User], None]
LogIn = Callable[[User], Awaitable[str]]


@pytest.fixture(scope="session")
def pg_app() -> FastAPI:
    """The app, with the cheapest argon2 there is: 0.1 ms for a hash that takes 50 in production."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERVICE_ARGON2_TIME_COST", "1")
        patch.setenv("SERVICE_ARGON2_MEMORY_COST", "8")
        patch.setenv("SERVICE_ARGON2_PARALLELISM", "1")
        return create_app()


@pytest.fixture(autouse=True)
def pwned(external_http: respx.MockRouter) -> respx.Route:
    """What Have I Been Pwned answers: it knows no password, unless the test says otherwise."""
    return external_http.get(url__startswith="https://api.pwnedpasswords.com/range/").respond(text="")


@pytest.fixture
def make_user(db_session: AsyncSession) -> MakeUser:
    """Insert a user who cannot log in; the name says which, everything else follows from it."""

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


@pytest.fixture
def as_user(app: FastAPI) -> AsUser:
    """Make the requests that follow those of ``user``: no password, no token, no login."""

    def become(user: User) -> None:
        app.dependency_overrides[current_user] = lambda: user

    return become


@pytest.fixture
def tokens(app: FastAPI) -> Tokens:
    """What signs the tokens of the app under test."""
    return Tokens.of(app.state.settings)


@pytest.fixture
def log_in(db_session: AsyncSession, tokens: Tokens) -> LogIn:
    """Start a session of ``user`` as of now, without a password, and return its access token."""

    async def start(user: User) -> str:
        login = LoginSession(user_id=user.id, expires_at=clock.now() + timedelta(days=30))
        db_session.add(login)
        await db_session.commit()
        return tokens.issue(user.id, login.id)

    return start
