"""Optimistic locking: a change names the version that it changes, and none is lost."""

import asyncio

import pytest
from httpx import AsyncClient, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Task, User
from tests.support.people import AsUser, MakeTask

TASKS = "/api/v1/tasks"


@pytest.fixture(autouse=True)
def logged_in(as_user: AsUser, ada: User) -> None:
    as_user(ada)


def outcome(response: Response) -> tuple[int, str]:
    return response.status_code, response.json()["title"]


async def test_the_version_comes_as_etag_and_goes_back_as_if_match(client: AsyncClient) -> None:
    made = await client.post(TASKS, json={"title": "Write"})
    path = made.headers["location"]
    read = await client.get(path)

    changed = await client.patch(path, json={"title": "Read"}, headers={"If-Match": read.headers["etag"]})

    tags = [response.headers["etag"] for response in (made, read, changed)]
    assert tags == ['"1"', '"1"', '"2"']
    assert (changed.status_code, changed.json()["version"]) == (200, 2)


async def test_a_change_of_a_stale_version_is_refused(
    client: AsyncClient, ada: User, make_task: MakeTask, db_session: AsyncSession
) -> None:
    path = f"{TASKS}/{(await make_task(ada)).id}"
    await client.patch(path, json={"title": "First"}, headers={"If-Match": '"1"'})

    second = await client.patch(path, json={"title": "Second"}, headers={"If-Match": '"1"'})

    assert outcome(second) == (412, "Stale version")
    assert (await db_session.scalars(select(Task.title))).all() == ["First"]


async def test_a_change_that_names_no_version_is_refused(
    client: AsyncClient, ada: User, make_task: MakeTask
) -> None:
    task = await make_task(ada)

    response = await client.patch(f"{TASKS}/{task.id}", json={"title": "Blind"})

    assert outcome(response) == (428, "Version required")


async def test_a_deletion_of_a_stale_version_is_refused(
    client: AsyncClient, ada: User, make_task: MakeTask
) -> None:
    task = await make_task(ada)

    refused = await client.delete(f"{TASKS}/{task.id}", headers={"If-Match": '"2"'})
    done = await client.delete(f"{TASKS}/{task.id}", headers={"If-Match": '"1"'})

    assert (outcome(refused), done.status_code) == ((412, "Stale version"), 204)


@pytest.mark.pg(isolation="database")
async def test_of_changes_that_race_one_wins_and_the_others_are_told(
    client: AsyncClient, ada: User, make_task: MakeTask, db_session: AsyncSession
) -> None:
    path = f"{TASKS}/{(await make_task(ada)).id}"

    responses = await asyncio.gather(
        *(
            client.patch(path, json={"title": f"Title {number}"}, headers={"If-Match": '"1"'})
            for number in range(5)
        )
    )

    statuses = sorted(response.status_code for response in responses)
    assert statuses[0] == 200
    assert set(statuses[1:]) <= {409, 412}
    winner = next(response for response in responses if response.status_code == 200)
    assert (await db_session.execute(select(Task.title, Task.version))).all() == [(winner.json()["title"], 2)]
