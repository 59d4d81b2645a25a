"""/health asks the process, /ready asks the database."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from httpx import ASGITransport, AsyncClient
from pydantic import SecretStr
from sqlalchemy import make_url

from pgharness.fixtures import Database
from service.app import create_app
from service.settings import Settings

WithoutDatabase = Callable[[], AbstractAsyncContextManager[AsyncClient]]


@pytest.fixture
def without_database(pg_database: Database) -> WithoutDatabase:
    """A client of an app whose server runs and whose database is gone."""
    url = make_url(pg_database.asyncpg_url).set(database="dropped_yesterday")
    address = SecretStr(url.render_as_string(hide_password=False))

    @asynccontextmanager
    async def client() -> AsyncIterator[AsyncClient]:
        app = create_app(Settings(database_url=address))
        transport = ASGITransport(app=app, raise_app_exceptions=False)
        async with (
            app.router.lifespan_context(app),
            AsyncClient(transport=transport, base_url="http://test") as client,
        ):
            yield client

    return client


async def test_a_running_process_is_healthy(client: AsyncClient) -> None:
    response = await client.get("/health")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_a_process_whose_database_answers_is_ready(client: AsyncClient) -> None:
    response = await client.get("/ready")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_a_process_without_its_database_starts_and_is_healthy(
    without_database: WithoutDatabase,
) -> None:
    async with without_database() as client:
        response = await client.get("/health")

    assert response.status_code == 200


async def test_a_process_without_its_database_is_not_ready(without_database: WithoutDatabase) -> None:
    async with without_database() as client:
        response = await client.get("/ready")

    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/database-unavailable",
        "title": "Database unavailable",
        "status": 503,
        "detail": "The database does not answer.",
        "instance": "/ready",
    }
