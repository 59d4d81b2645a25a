"""What holds for every route there is: the routes are those of the OpenAPI document."""

from uuid import UUID

import pytest
from httpx import ASGITransport, AsyncClient
from pydantic import SecretStr
from sqlalchemy import make_url

from pgharness.fixtures import Database
from service.app import create_app
from service.auth.tokens import Tokens
from service.settings import Settings
from tests.api.service.documented import OPERATIONS, filled, is_protected, needed

PUBLIC = {
    ("GET", "/health"),
    ("GET", "/ready"),
    ("POST", "/api/v1/auth/token"),
    ("POST", "/api/v1/auth/refresh"),
    ("POST", "/api/v1/auth/logout"),
    ("POST", "/api/v1/users"),
    ("GET", "/api/v1/posts"),
    ("GET", "/api/v1/posts/{post_id}"),
    ("GET", "/api/v1/search/posts"),
}
PROTECTED = [operation for operation in OPERATIONS if is_protected(*operation)]
# A search for nothing is refused before anybody looks.
WITHOUT_DATABASE = {("GET", "/health"), ("GET", "/api/v1/search/posts")}
NOBODY = UUID(int=0)


def test_no_route_is_public_by_accident() -> None:
    assert {operation for operation in OPERATIONS if not is_protected(*operation)} == PUBLIC


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_without_a_token_a_protected_route_asks_for_one(
    client: AsyncClient, method: str, path: str
) -> None:
    response = await client.request(method, filled(path))

    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/missing-token",
        "title": "Missing access token",
        "status": 401,
        "detail": "This needs an access token.",
        "instance": filled(path),
    }


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_a_token_of_no_session_opens_nothing(
    client: AsyncClient, tokens: Tokens, method: str, path: str
) -> None:
    bearer = {"Authorization": f"Bearer {tokens.issue(NOBODY, NOBODY)}"}

    response = await client.request(method, filled(path), headers=bearer)

    assert (response.status_code, response.json()["title"]) == (401, "Invalid access token")


@pytest.mark.parametrize(("method", "path"), sorted({*OPERATIONS} - WITHOUT_DATABASE))
async def test_while_the_database_is_away_a_route_says_so(
    pg_database: Database, method: str, path: str
) -> None:
    url = make_url(pg_database.asyncpg_url).set(database="dropped_yesterday")
    settings = Settings(
        database_url=SecretStr(url.render_as_string(hide_password=False)),
        argon2_time_cost=1,
        argon2_memory_cost=8,
        argon2_parallelism=1,
    )
    app = create_app(settings)
    bearer = {"Authorization": f"Bearer {Tokens.of(settings).issue(NOBODY, NOBODY)}"}

    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://test", headers=bearer) as client,
    ):
        response = await client.request(method, filled(path), params=needed(method, path))

    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["retry-after"] == "1"
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/database-unavailable",
        "title": "Database unavailable",
        "status": 503,
        "detail": "The database does not answer.",
        "instance": filled(path),
    }


@pytest.mark.parametrize("path", sorted({path for _, path in OPERATIONS}))
async def test_a_method_that_a_path_does_not_have_is_a_problem_that_names_those_it_has(
    client: AsyncClient, path: str
) -> None:
    response = await client.request("TRACE", filled(path))

    methods = sorted(method for method, of_path in OPERATIONS if of_path == path)
    assert response.headers["allow"] == ", ".join(methods)
    assert response.json() == {
        "type": "about:blank",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "Method Not Allowed",
        "instance": filled(path),
    }


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_no_route_takes_a_body_without_end(client: AsyncClient, method: str, path: str) -> None:
    response = await client.request(method, filled(path), headers={"Content-Length": str(10**9)})

    assert response.status_code == 413
    assert response.json()["instance"] == filled(path)
