"""PUT /api/v1/users/me/password."""

from collections.abc import Awaitable, Callable
from typing import Any

import argon2
import pytest
from httpx import AsyncClient, Response

from service.models import User
from tests.support.people import LogIn, MakeUser

PATH = "/api/v1/users/me/password"
OLD = "correct horse battery"
NEW = "staple the next horse"


@pytest.fixture
async def ada(make_user: MakeUser) -> User:
    """A user who can log in."""
    cheap = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return await make_user("Ada", email="lovelace@example.org", password_hash=cheap.hash(OLD))


@pytest.fixture
async def change(client: AsyncClient, ada: User, log_in: LogIn) -> Callable[..., Awaitable[Response]]:
    """Ada changes her password."""
    bearer = {"Authorization": f"Bearer {await log_in(ada)}"}

    async def put(current: str = OLD, new: str = NEW) -> Response:
        return await client.put(PATH, headers=bearer, json={"current_password": current, "new_password": new})

    return put


async def log_in_status(client: AsyncClient, user: User, password: str) -> int:
    form = {"username": user.email, "password": password}
    return (await client.post("/api/v1/auth/token", data=form)).status_code


async def test_the_new_password_takes_the_place_of_the_old_one(
    client: AsyncClient, ada: User, change: Callable[..., Awaitable[Response]]
) -> None:
    response = await change()

    assert (response.status_code, response.content) == (204, b"")
    assert await log_in_status(client, ada, NEW) == 200
    assert await log_in_status(client, ada, OLD) == 401


async def test_every_session_of_the_user_ends_and_nobody_elses(
    client: AsyncClient,
    ada: User,
    grace: User,
    log_in: LogIn,
    change: Callable[..., Awaitable[Response]],
) -> None:
    phone, of_grace = await log_in(ada), await log_in(grace)

    await change()

    statuses = [
        (await client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})).status_code
        for token in (phone, of_grace)
    ]
    assert statuses == [401, 200]
    assert (await change()).status_code == 401  # the session that asked


async def test_without_the_present_password_nothing_changes(
    client: AsyncClient, ada: User, change: Callable[..., Awaitable[Response]]
) -> None:
    response = await change(current="something else")

    assert response.status_code == 403
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/wrong-password",
        "title": "Wrong password",
        "status": 403,
        "detail": "The current password is not this one.",
        "instance": PATH,
    }
    assert await log_in_status(client, ada, OLD) == 200


@pytest.mark.parametrize(
    ("new", "detail"),
    [
        ("too short", "It must have at least 12 characters."),
        ("the rules of Lovelace", "It must not contain your name or e-mail address."),
    ],
)
async def test_a_weak_new_password_is_refused_and_nobody_is_logged_out(
    client: AsyncClient, ada: User, change: Callable[..., Awaitable[Response]], new: str, detail: str
) -> None:
    response = await change(new=new)

    assert response.status_code == 422
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/weak-password",
        "title": "Weak password",
        "status": 422,
        "detail": "The password is too weak.",
        "instance": PATH,
        "errors": [{"pointer": "/body/new_password", "detail": detail}],
    }
    assert await log_in_status(client, ada, OLD) == 200
    assert (await change()).status_code == 204


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"new_password": NEW}, "/body/current_password"),
        ({"current_password": OLD}, "/body/new_password"),
        ({"current_password": OLD, "new_password": NEW, "user_id": "1"}, "/body/user_id"),
    ],
)
async def test_a_change_that_is_not_well_formed_is_refused(
    client: AsyncClient, ada: User, as_user: Callable[[User], None], body: dict[str, Any], pointer: str
) -> None:
    as_user(ada)

    response = await client.put(PATH, json=body)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
