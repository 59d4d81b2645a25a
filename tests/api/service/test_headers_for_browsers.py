"""What a browser is told: security headers on every answer, and which origins may use the API."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from httpx import ASGITransport, AsyncClient

from pgharness.fixtures import Database
from service.app import create_app
from service.settings import Settings

BOARD = "https://board.example"

ClientWith = Callable[..., AbstractAsyncContextManager[AsyncClient]]


@pytest.fixture
def client_with(pg_database: Database) -> ClientWith:
    """A client of an app with other settings. It is not started: no route that is asked here needs that."""

    @asynccontextmanager
    async def make(**changes: object) -> AsyncIterator[AsyncClient]:
        settings = Settings.model_validate({"database_url": pg_database.asyncpg_url, **changes})
        async with AsyncClient(
            transport=ASGITransport(create_app(settings)), base_url="https://test"
        ) as client:
            yield client

    return make


@pytest.mark.parametrize("path", ["/health", "/api/v1/users/me", "/nothing"])
async def test_every_answer_says_that_it_is_data(client: AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers

    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers


@pytest.mark.parametrize("path", ["/docs", "/docs/oauth2-redirect", "/docs/assets/swagger-ui-bundle.js"])
async def test_the_documentation_may_run_scripts_of_its_own_and_no_others(
    client: AsyncClient, path: str
) -> None:
    response = await client.get(path)

    assert response.status_code == 200
    assert "script-src 'self' 'unsafe-inline'; " in response.headers["content-security-policy"]
    assert response.headers["x-frame-options"] == "DENY"


async def test_the_documentation_names_no_other_site(client: AsyncClient) -> None:
    page = await client.get("/docs")

    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//""", page.text)


async def test_outside_development_a_browser_must_keep_to_https(client_with: ClientWith) -> None:
    key = "0f9c1d7e5b3a48266c8e1f70d2b4a69385c7e0f1a27c64d83b5e90f2c71d4e68"
    webhook_key = "7mWv0xQk3nS1uY9bJ4cT6hR2pL8zA5dFgEoIiKqXyNM="
    async with client_with(environment="production", secret_key=key, webhook_keys=webhook_key) as client:
        headers = (await client.get("/health")).headers

    assert headers["strict-transport-security"] == "max-age=63072000"


async def test_an_origin_that_is_named_may_read_the_answer(client_with: ClientWith) -> None:
    async with client_with(cors_origins=f"{BOARD}, https://other.example") as client:
        response = await client.get("/health", headers={"Origin": BOARD})

    assert response.headers["access-control-allow-origin"] == BOARD
    assert "X-Request-ID" in response.headers["access-control-expose-headers"]


async def test_an_origin_that_is_not_named_may_not(client_with: ClientWith) -> None:
    async with client_with(cors_origins=BOARD) as client:
        response = await client.get("/health", headers={"Origin": "https://evil.example"})

    assert "access-control-allow-origin" not in response.headers


async def test_a_browser_that_asks_first_is_told_what_it_may_send(client_with: ClientWith) -> None:
    asking = {
        "Origin": BOARD,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization, if-match",
    }
    async with client_with(cors_origins=BOARD) as client:
        response = await client.options("/api/v1/tasks", headers=asking)

    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == BOARD
    assert "PATCH" in response.headers["access-control-allow-methods"]


async def test_unless_origins_are_named_no_other_origin_may_do_anything(client: AsyncClient) -> None:
    response = await client.get("/health", headers={"Origin": BOARD})

    assert "access-control-allow-origin" not in response.headers
