"""Routes that take a password or a token may be tried so often a minute, and no more."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from fastapi import FastAPI
from freezegun import freeze_time
from httpx import ASGITransport, AsyncClient, Response

from service.dependencies import ResourcesDep
from service.limits.dependencies import get_limiter
from service.limits.service import RateLimiter
from service.models import User

NOON = "2026-03-01 12:00:00"


@pytest.fixture(autouse=True)
def two_a_minute(app: FastAPI) -> None:
    """A limit that a test reaches soon."""

    def limiter(resources: ResourcesDep) -> RateLimiter:
        return RateLimiter(resources.session_maker, 2, timedelta(minutes=1))

    app.dependency_overrides[get_limiter] = limiter


def from_address(app: FastAPI, host: str) -> AsyncClient:
    return AsyncClient(transport=ASGITransport(app, client=(host, 50_000)), base_url="http://test")


async def guess(client: AsyncClient, username: str = "ada@example.org") -> Response:
    return await client.post("/api/v1/auth/token", data={"username": username, "password": "wrong"})


async def test_a_client_that_comes_too_often_is_told_when_to_come_again(client: AsyncClient) -> None:
    with freeze_time(NOON, real_asyncio=True) as clock:
        first = [(await guess(client)).status_code for _ in range(2)]
        clock.tick(timedelta(seconds=40))

        refused = await guess(client)

    assert first == [401, 401]
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "20"
    assert refused.json() == {
        "type": "tag:task-board.example,2026:problems/too-many-requests",
        "title": "Too many requests",
        "status": 429,
        "detail": "Too many attempts; the next one is allowed in 20 seconds.",
        "instance": "/api/v1/auth/token",
    }


async def test_when_the_minute_is_over_it_begins_anew(client: AsyncClient) -> None:
    with freeze_time(NOON, real_asyncio=True) as clock:
        for _ in range(3):
            await guess(client)
        clock.tick(timedelta(minutes=1))

        after = [(await guess(client)).status_code for _ in range(3)]

    assert after == [401, 401, 429]


async def test_each_address_is_counted_for_itself(app: FastAPI, client: AsyncClient) -> None:
    for _ in range(3):
        await guess(client, "somebody@example.org")

    async with from_address(app, "192.0.2.7") as another:
        response = await guess(another)

    assert response.status_code == 401


async def test_guesses_at_one_account_are_counted_from_wherever_they_come(
    app: FastAPI, client: AsyncClient
) -> None:
    statuses = []
    for number, spelling in enumerate(["ada@example.org", "ADA@example.org", "ada@EXAMPLE.org"]):
        async with from_address(app, f"192.0.2.{number}") as guesser:
            statuses.append((await guess(guesser, spelling)).status_code)

    assert statuses == [401, 401, 429]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/auth/token"),
        ("POST", "/api/v1/auth/refresh"),
        ("POST", "/api/v1/auth/logout"),
        ("POST", "/api/v1/users"),
        ("PUT", "/api/v1/users/me/password"),
    ],
)
async def test_every_route_that_takes_a_secret_is_limited(
    client: AsyncClient, ada: User, as_user: Callable[[User], None], method: str, path: str
) -> None:
    as_user(ada)

    statuses = [(await client.request(method, path, json={})).status_code for _ in range(3)]

    assert statuses == [422, 422, 429]


async def test_other_routes_are_not_limited(
    client: AsyncClient, ada: User, as_user: Callable[[User], None]
) -> None:
    as_user(ada)

    statuses = {(await client.get("/api/v1/users/me")).status_code for _ in range(3)}

    assert statuses == {200}
