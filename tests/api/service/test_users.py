"""GET /api/v1/users and /api/v1/users/me."""

from datetime import UTC, datetime, timedelta

import pytest
from httpx import AsyncClient

from service.models import User
from tests.support.people import AsUser, MakeUser

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_me_is_the_account_of_the_caller(
    client: AsyncClient, make_user: MakeUser, as_user: AsUser
) -> None:
    ada = await make_user("Ada", created_at=NOON)
    as_user(ada)

    response = await client.get("/api/v1/users/me")

    assert response.status_code == 200
    assert response.json() == {
        "id": str(ada.id),
        "email": "ada@example.org",
        "name": "Ada",
        "is_admin": False,
        "created_at": "2026-03-01T12:00:00Z",
    }


async def test_the_directory_shows_the_team_without_addresses(
    client: AsyncClient, make_user: MakeUser, as_user: AsUser
) -> None:
    ada = await make_user("Ada", created_at=NOON)
    grace = await make_user("Grace", created_at=NOON + timedelta(days=1))
    as_user(grace)

    response = await client.get("/api/v1/users")

    assert response.status_code == 200
    assert response.json() == {
        "items": [
            {"id": str(ada.id), "name": "Ada", "created_at": "2026-03-01T12:00:00Z"},
            {"id": str(grace.id), "name": "Grace", "created_at": "2026-03-02T12:00:00Z"},
        ],
        "next_cursor": None,
    }


async def test_the_directory_is_read_page_by_page(
    client: AsyncClient, make_user: MakeUser, as_user: AsUser
) -> None:
    for day, name in enumerate(["Ada", "Grace", "Mary"]):
        as_user(await make_user(name, created_at=NOON + timedelta(days=day)))

    first = (await client.get("/api/v1/users", params={"limit": 2})).json()
    second = (await client.get("/api/v1/users", params={"limit": 2, "cursor": first["next_cursor"]})).json()

    assert [user["name"] for user in first["items"]] == ["Ada", "Grace"]
    assert [user["name"] for user in second["items"]] == ["Mary"]
    assert second["next_cursor"] is None


@pytest.mark.parametrize("limit", ["0", "101", "many"])
async def test_a_page_has_between_one_and_a_hundred_rows(
    client: AsyncClient, ada: User, as_user: AsUser, limit: str
) -> None:
    as_user(ada)

    response = await client.get("/api/v1/users", params={"limit": limit})

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (422, "/query/limit")


async def test_a_cursor_that_nobody_gave_out_is_refused(
    client: AsyncClient, ada: User, as_user: AsUser
) -> None:
    as_user(ada)

    response = await client.get("/api/v1/users", params={"cursor": "page-two"})

    assert response.status_code == 422
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/invalid-cursor",
        "title": "Invalid cursor",
        "status": 422,
        "detail": "The cursor is not one that this list gave out.",
        "instance": "/api/v1/users",
    }
