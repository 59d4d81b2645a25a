"""``Idempotency-Key`` on a POST: sent twice, carried out once."""

import asyncio
from datetime import timedelta

import pytest
from freezegun import freeze_time
from httpx import AsyncClient, Response
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Task, User
from tests.support.people import AsUser

TASKS = "/api/v1/tasks"
KEY = "3f1c9a52-8f53-4f0e-9f57-6b0a0d6a9d10"


@pytest.fixture(autouse=True)
def logged_in(as_user: AsUser, ada: User) -> None:
    """Every request of this module is Ada's, unless the test says otherwise."""
    as_user(ada)


async def post(
    client: AsyncClient, title: str = "Write the report", key: str = KEY, address: str = TASKS
) -> Response:
    return await client.post(address, json={"title": title}, headers={"Idempotency-Key": key})


async def titles(db_session: AsyncSession) -> list[str]:
    return list((await db_session.scalars(select(Task.title).order_by(Task.title))).all())


async def test_a_request_that_is_sent_again_has_the_first_answer_and_no_other_effect(
    client: AsyncClient, db_session: AsyncSession
) -> None:
    first = await post(client)

    again = await post(client)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["content-type"] == first.headers["content-type"]
    assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
    assert await titles(db_session) == ["Write the report"]


async def test_another_key_is_another_request(client: AsyncClient, db_session: AsyncSession) -> None:
    await post(client, key="one")
    await post(client, key="two")

    assert await titles(db_session) == ["Write the report", "Write the report"]


async def test_without_a_key_every_request_counts(client: AsyncClient, db_session: AsyncSession) -> None:
    for _ in range(2):
        await client.post(TASKS, json={"title": "Write the report"})

    assert await titles(db_session) == ["Write the report", "Write the report"]


async def test_a_key_is_not_good_for_another_request(client: AsyncClient, db_session: AsyncSession) -> None:
    await post(client, "Write the report")

    response = await post(client, "Burn the report")

    assert response.status_code == 422
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/idempotency-key-reused",
        "title": "Idempotency key reused",
        "status": 422,
        "detail": "This idempotency key belongs to another request.",
        "instance": TASKS,
    }
    assert await titles(db_session) == ["Write the report"]


@pytest.mark.parametrize("address", [f"{TASKS}?again=1", "/api/v1/posts"])
async def test_a_key_is_not_good_for_another_address(client: AsyncClient, address: str) -> None:
    await post(client)

    response = await post(client, address=address)

    assert (response.status_code, response.json()["title"]) == (422, "Idempotency key reused")


async def test_somebody_elses_key_has_nothing_to_do_with_ones_own(
    client: AsyncClient, grace: User, as_user: AsUser
) -> None:
    of_ada = await post(client)
    as_user(grace)

    of_grace = await post(client)

    assert of_grace.status_code == 201
    assert of_grace.json()["id"] != of_ada.json()["id"]


async def test_a_request_that_was_refused_can_be_mended_and_sent_with_the_same_key(
    client: AsyncClient,
) -> None:
    refused = await post(client, title="")

    assert (refused.status_code, (await post(client)).status_code) == (422, 201)


async def test_after_a_day_a_key_is_new(client: AsyncClient, db_session: AsyncSession) -> None:
    with freeze_time("2026-03-01 12:00:00", real_asyncio=True) as clock:
        await post(client)
        clock.tick(timedelta(days=1) - timedelta(seconds=1))
        assert (await post(client)).headers["idempotency-replayed"] == "true"
        clock.tick(timedelta(seconds=1))

        assert (await post(client, "Another report")).status_code == 201

    assert await titles(db_session) == ["Another report", "Write the report"]


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_between_one_and_255_characters(client: AsyncClient, key: str) -> None:
    response = await post(client, key=key)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/header/Idempotency-Key"]


@pytest.mark.pg(isolation="database")
async def test_of_many_equal_requests_at_once_one_is_carried_out_and_all_are_answered_alike(
    client: AsyncClient, db_session: AsyncSession
) -> None:
    answers = await asyncio.gather(*(post(client) for _ in range(5)))

    assert [answer.status_code for answer in answers] == [201] * 5
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 4
    assert await titles(db_session) == ["Write the report"]


@pytest.mark.pg(isolation="database")
async def test_a_key_whose_request_does_not_end_is_in_use(
    client: AsyncClient, db_session: AsyncSession, ada: User
) -> None:
    # Somebody else's transaction has taken the key and does not end; `lock_timeout` ends the wait.
    await db_session.execute(
        text(
            "INSERT INTO idempotency_keys (user_id, key, request_digest, expires_at)"
            " VALUES (:user_id, :key, sha256(''), now() + interval '1 day')"
        ),
        {"user_id": ada.id, "key": KEY},
    )

    response = await post(client)

    assert response.status_code == 409
    assert response.headers["retry-after"] == "1"
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/idempotency-key-in-use",
        "title": "Idempotency key in use",
        "status": 409,
        "detail": "A request with this idempotency key is being carried out.",
        "instance": TASKS,
    }
