"""GET /api/v1/admin/users, and who becomes an admin."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from httpx import AsyncClient
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import User
from tests.support.people import AsUser, LogIn, MakeUser

PATH = "/api/v1/admin/users"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def test_an_admin_sees_every_account_page_by_page(
    client: AsyncClient, make_user: MakeUser, as_user: AsUser
) -> None:
    ada = await make_user("Ada", created_at=NOON, is_admin=True)
    grace = await make_user("Grace", created_at=NOON + timedelta(days=1))
    as_user(ada)

    first = (await client.get(PATH, params={"limit": 1})).json()
    second = (await client.get(PATH, params={"limit": 1, "cursor": first["next_cursor"]})).json()

    assert first["items"] == [
        {
            "id": str(ada.id),
            "name": "Ada",
            "email": "ada@example.org",
            "is_admin": True,
            "created_at": "2026-03-01T12:00:00Z",
        }
    ]
    assert second == {
        "items": [
            {
                "id": str(grace.id),
                "name": "Grace",
                "email": "grace@example.org",
                "is_admin": False,
                "created_at": "2026-03-02T12:00:00Z",
            }
        ],
        "next_cursor": None,
    }


async def test_whoever_is_no_admin_is_told_so(client: AsyncClient, ada: User, as_user: AsUser) -> None:
    as_user(ada)

    response = await client.get(PATH)

    assert response.status_code == 403
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/not-admin",
        "title": "Not an admin",
        "status": 403,
        "detail": "Only an admin may do this.",
        "instance": PATH,
    }


async def test_an_admin_who_is_demoted_is_none_from_the_next_request_on(
    client: AsyncClient, make_user: MakeUser, log_in: LogIn, db_session: AsyncSession
) -> None:
    ada = await make_user("Ada", is_admin=True)
    bearer = {"Authorization": f"Bearer {await log_in(ada)}"}
    before = await client.get(PATH, headers=bearer)

    ada.is_admin = False
    await db_session.commit()

    assert (before.status_code, (await client.get(PATH, headers=bearer)).status_code) == (200, 403)


@pytest.mark.parametrize("params", [{"limit": "0"}, {"limit": "101"}, {"cursor": "page-two"}])
async def test_a_page_that_cannot_be_is_refused(
    client: AsyncClient, make_user: MakeUser, as_user: AsUser, params: dict[str, str]
) -> None:
    as_user(await make_user("Ada", is_admin=True))

    assert (await client.get(PATH, params=params)).status_code == 422


def registration(name: str) -> dict[str, str]:
    return {"email": f"{name}@example.org", "name": name, "password": "correct horse battery"}


async def test_the_first_to_register_is_an_admin_and_the_next_is_not(client: AsyncClient) -> None:
    answers = [(await client.post("/api/v1/users", json=registration(name))).json() for name in ("a", "b")]

    assert [answer["is_admin"] for answer in answers] == [True, False]


@pytest.mark.pg(isolation="database")
async def test_of_many_who_register_at_once_one_is_an_admin(
    client: AsyncClient, db_session: AsyncSession
) -> None:
    answers = await asyncio.gather(
        *(client.post("/api/v1/users", json=registration(name)) for name in "abcdef")
    )

    assert [answer.status_code for answer in answers] == [201] * 6
    assert await db_session.scalar(select(func.count()).where(User.is_admin)) == 1
