"""People, their tasks, and ways to be one of them."""

from datetime import timedelta

import pytest
import respx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from service import clock
from service.app import create_app
from service.auth.dependencies import current_user
from service.auth.tokens import Tokens
from service.models import LoginSession, User
from tests.support.factories import make_delivery, make_post, make_webhook
from tests.support.people import AsUser, LogIn, ada, grace, make_task, make_user

__all__ = [
    "ada",
    "grace",
    "make_delivery",
    "make_post",
    "make_task",
    "make_user",
    "make_webhook",
]  # fixtures of these directories too


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
