"""POST /api/v1/auth/refresh and /logout: a refresh token is good for one refresh, and a session can end."""

import asyncio
from datetime import timedelta
from typing import Any

import argon2
import pytest
from freezegun import freeze_time
from httpx import AsyncClient, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import RefreshToken, User
from tests.support.people import MakeUser

AUTH = "/api/v1/auth"
PASSWORD = "correct horse battery"
CHEAP = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)

Tokens = dict[str, Any]


@pytest.fixture
async def ada(make_user: MakeUser) -> User:
    """A user who can log in."""
    return await make_user("Ada", password_hash=CHEAP.hash(PASSWORD))


async def log_in(client: AsyncClient, user: User) -> Tokens:
    response = await client.post(f"{AUTH}/token", data={"username": user.email, "password": PASSWORD})
    assert response.status_code == 200
    tokens: Tokens = response.json()
    return tokens


async def refresh(client: AsyncClient, tokens: Tokens) -> Response:
    return await client.post(f"{AUTH}/refresh", json={"refresh_token": tokens["refresh_token"]})


async def status_of_me(client: AsyncClient, tokens: Tokens) -> int:
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    return (await client.get("/api/v1/users/me", headers=bearer)).status_code


def assert_refused(response: Response) -> None:
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/invalid-refresh-token",
        "title": "Invalid refresh token",
        "status": 401,
        "detail": "The refresh token is not valid.",
        "instance": f"{AUTH}/refresh",
    }


async def test_a_refresh_answers_with_new_tokens_that_open_ones_account(
    client: AsyncClient, ada: User
) -> None:
    old = await log_in(client, ada)

    response = await refresh(client, old)

    new = response.json()
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert set(new) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (new["access_token"], new["refresh_token"]) != (old["access_token"], old["refresh_token"])
    assert await status_of_me(client, new) == 200


async def test_each_refresh_token_leads_to_the_next(client: AsyncClient, ada: User) -> None:
    tokens = await log_in(client, ada)

    for _ in range(3):
        response = await refresh(client, tokens)
        assert response.status_code == 200
        tokens = response.json()


async def test_a_refresh_token_that_comes_twice_ends_its_session_for_the_thief_and_for_the_owner(
    client: AsyncClient, ada: User
) -> None:
    stolen = await log_in(client, ada)
    latest = (await refresh(client, stolen)).json()

    assert_refused(await refresh(client, stolen))

    assert_refused(await refresh(client, latest))
    assert await status_of_me(client, latest) == 401


async def test_other_sessions_go_on_when_one_is_ended_by_a_stolen_token(
    client: AsyncClient, ada: User
) -> None:
    laptop, phone = await log_in(client, ada), await log_in(client, ada)
    await refresh(client, laptop)
    await refresh(client, laptop)

    assert (await refresh(client, phone)).status_code == 200


async def test_no_refresh_token_is_stored(client: AsyncClient, ada: User, db_session: AsyncSession) -> None:
    tokens = await log_in(client, ada)

    stored = (await db_session.scalars(select(RefreshToken.digest))).one()

    assert len(stored) == 32
    assert tokens["refresh_token"].encode() not in stored


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("A" * 43, id="one that nobody gave out"),
        pytest.param("\x00", id="U+0000"),
    ],
)
async def test_what_is_no_refresh_token_is_refused(client: AsyncClient, text: str) -> None:
    assert_refused(await refresh(client, {"refresh_token": text}))


async def test_half_a_surrogate_pair_is_no_refresh_token(client: AsyncClient) -> None:
    body = b'{"refresh_token": "\\ud800"}'

    response = await client.post(
        f"{AUTH}/refresh", content=body, headers={"Content-Type": "application/json"}
    )

    assert_refused(response)


async def test_an_access_token_refreshes_nothing(client: AsyncClient, ada: User) -> None:
    tokens = await log_in(client, ada)

    assert_refused(await refresh(client, {"refresh_token": tokens["access_token"]}))


@pytest.mark.parametrize("route", ["refresh", "logout"])
@pytest.mark.parametrize("body", [{}, {"refresh_token": None}, {"refresh_token": "x" * 513}])
async def test_a_request_without_a_refresh_token_is_not_well_formed(
    client: AsyncClient, route: str, body: dict[str, Any]
) -> None:
    response = await client.post(f"{AUTH}/{route}", json=body)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/body/refresh_token"]


async def test_a_session_lasts_for_its_lifetime_however_often_it_is_refreshed(
    client: AsyncClient, ada: User
) -> None:
    with freeze_time("2026-03-01 12:00:00", real_asyncio=True) as clock:
        first = await log_in(client, ada)
        clock.tick(timedelta(days=30) - timedelta(seconds=1))
        latest = (await refresh(client, first)).json()
        assert await status_of_me(client, latest) == 200

        clock.tick(timedelta(seconds=1))

        assert_refused(await refresh(client, latest))
        assert await status_of_me(client, latest) == 401


async def test_after_a_logout_neither_token_opens_anything(client: AsyncClient, ada: User) -> None:
    tokens = await log_in(client, ada)

    response = await client.post(f"{AUTH}/logout", json={"refresh_token": tokens["refresh_token"]})

    assert (response.status_code, response.content) == (204, b"")
    assert await status_of_me(client, tokens) == 401
    assert_refused(await refresh(client, tokens))


async def test_a_logout_ends_one_session_and_no_other(client: AsyncClient, ada: User) -> None:
    laptop, phone = await log_in(client, ada), await log_in(client, ada)

    await client.post(f"{AUTH}/logout", json={"refresh_token": laptop["refresh_token"]})

    assert await status_of_me(client, phone) == 200


async def test_whoever_is_logged_out_already_can_log_out(client: AsyncClient) -> None:
    response = await client.post(f"{AUTH}/logout", json={"refresh_token": "nobody's"})

    assert response.status_code == 204


@pytest.mark.pg(isolation="database")
async def test_of_two_refreshes_at_once_one_is_taken_for_a_theft(client: AsyncClient, ada: User) -> None:
    tokens = await log_in(client, ada)

    answers = await asyncio.gather(refresh(client, tokens), refresh(client, tokens))

    assert sorted(answer.status_code for answer in answers) == [200, 401]
    latest = next(answer.json() for answer in answers if answer.status_code == 200)
    assert await status_of_me(client, latest) == 401
