"""POST /api/v1/auth/token, and what a token opens."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import argon2
import pytest
from freezegun import freeze_time
from httpx import AsyncClient
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.auth.tokens import Tokens
from service.models import User
from tests.support.people import LogIn

PASSWORD = "correct horse battery"
ALIEN_KEY = "the key of some other service, thirty-two bytes long"

Login = dict[str, str]


@pytest.fixture
async def login(make_user: Callable[..., Awaitable[User]]) -> Login:
    """What Ada types to log in. Her hash is one of stronger parameters than the app under test has."""
    hashed = argon2.PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash(PASSWORD)
    ada = await make_user("Ada", password_hash=hashed)
    return {"username": ada.email, "password": PASSWORD}


async def test_a_login_answers_with_a_token_that_opens_ones_account(
    client: AsyncClient, login: Login
) -> None:
    response = await client.post("/api/v1/auth/token", data=login)
    answer = response.json()
    me = await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {answer['access_token']}"})

    assert response.status_code == 200
    assert answer == {
        "access_token": answer["access_token"],
        "token_type": "bearer",
        "expires_in": 900,
        "refresh_token": answer["refresh_token"],
    }
    assert (me.status_code, me.json()["email"]) == (200, "ada@example.org")


async def test_the_answer_to_a_login_is_kept_by_no_cache(client: AsyncClient, login: Login) -> None:
    response = await client.post("/api/v1/auth/token", data=login)

    assert response.headers["cache-control"] == "no-store"


async def test_the_case_of_the_address_does_not_matter(client: AsyncClient, login: Login) -> None:
    response = await client.post("/api/v1/auth/token", data={**login, "username": "ADA@Example.ORG"})

    assert response.status_code == 200


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"password": "Correct horse battery"}, id="a wrong password"),
        pytest.param({"username": "grace@example.org"}, id="an unknown user"),
        pytest.param({"username": "ada@example.org\x00"}, id="U+0000 in the address"),
    ],
)
async def test_wrong_credentials_are_refused_without_saying_which_was_wrong(
    client: AsyncClient, login: Login, changes: dict[str, str]
) -> None:
    response = await client.post("/api/v1/auth/token", data={**login, **changes})

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/wrong-credentials",
        "title": "Wrong credentials",
        "status": 401,
        "detail": "The e-mail address or the password is wrong.",
        "instance": "/api/v1/auth/token",
    }


async def test_a_login_needs_both_fields_of_the_form(client: AsyncClient) -> None:
    response = await client.post("/api/v1/auth/token", data={"grant_type": "password"})

    assert response.status_code == 422
    assert response.json()["errors"] == [
        {"pointer": "/body/username", "detail": "Field required"},
        {"pointer": "/body/password", "detail": "Field required"},
    ]


async def test_a_hash_of_other_parameters_is_replaced_at_the_next_login(
    client: AsyncClient, login: Login, db_session: AsyncSession
) -> None:
    await client.post("/api/v1/auth/token", data=login)

    password_hash = (await db_session.execute(select(User.password_hash))).scalar_one()
    assert password_hash.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert (await client.post("/api/v1/auth/token", data=login)).status_code == 200


async def test_a_failed_login_leaves_the_hash_as_it_is(
    client: AsyncClient, login: Login, db_session: AsyncSession
) -> None:
    await client.post("/api/v1/auth/token", data={**login, "password": "wrong"})

    password_hash = (await db_session.execute(select(User.password_hash))).scalar_one()
    assert password_hash.startswith("$argon2id$v=19$m=8,t=2,p=1$")


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", ""])
async def test_another_scheme_is_no_token(client: AsyncClient, header: str) -> None:
    response = await client.get("/api/v1/users/me", headers={"Authorization": header})

    assert response.status_code == 401


async def test_an_expired_token_is_refused(client: AsyncClient, ada: User, log_in: LogIn) -> None:
    with freeze_time("2026-03-01 12:00:00", real_asyncio=True):
        token = await log_in(ada)

    with freeze_time("2026-03-01 12:15:00", real_asyncio=True):
        response = await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/expired-token",
        "title": "Expired access token",
        "status": 401,
        "detail": "The access token has expired.",
        "instance": "/api/v1/users/me",
    }


async def test_a_token_is_good_until_it_expires(client: AsyncClient, ada: User, log_in: LogIn) -> None:
    with freeze_time("2026-03-01 12:00:00", real_asyncio=True):
        token = await log_in(ada)

    with freeze_time("2026-03-01 12:14:59", real_asyncio=True):
        response = await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 200


async def test_a_token_that_somebody_else_signed_is_refused(
    client: AsyncClient, ada: User, log_in: LogIn, tokens: Tokens
) -> None:
    genuine = tokens.read(await log_in(ada))
    alien = Tokens(ALIEN_KEY, tokens.issuer, tokens.audience, timedelta(hours=1))
    forged = alien.issue(genuine.user_id, genuine.session_id)

    response = await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {forged}"})

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/invalid-token",
        "title": "Invalid access token",
        "status": 401,
        "detail": "The access token is not valid.",
        "instance": "/api/v1/users/me",
    }


async def test_a_token_of_somebody_elses_session_opens_nothing(
    client: AsyncClient, ada: User, grace: User, log_in: LogIn, tokens: Tokens
) -> None:
    of_ada = tokens.read(await log_in(ada))
    mixed = tokens.issue(grace.id, of_ada.session_id)

    response = await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {mixed}"})

    assert (response.status_code, response.json()["title"]) == (401, "Invalid access token")


async def test_the_token_of_a_deleted_user_opens_nothing(
    client: AsyncClient, ada: User, log_in: LogIn, db_session: AsyncSession
) -> None:
    token = await log_in(ada)
    await db_session.execute(delete(User))
    await db_session.commit()

    response = await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})

    assert (response.status_code, response.json()["title"]) == (401, "Invalid access token")
