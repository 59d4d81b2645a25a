"""/api/v1/tasks: make, read, change, delete. Lists have a file of their own."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from freezegun import freeze_time
from httpx import AsyncClient, Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Task, User
from tests.support.people import AsUser, MakeTask

TASKS = "/api/v1/tasks"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ANY = {"If-Match": "*"}
"""Whatever version there is; `test_task_versions.py` has those that say which."""


@pytest.fixture(autouse=True)
def logged_in(as_user: AsUser, ada: User) -> None:
    """Every request of this module is Ada's, unless the test says otherwise."""
    as_user(ada)


async def stored_titles(db_session: AsyncSession) -> list[str]:
    return list((await db_session.scalars(select(Task.title).order_by(Task.title))).all())


def assert_not_found(response: Response, path: str) -> None:
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "tag:task-board.example,2026:problems/task-not-found",
        "title": "Task not found",
        "status": 404,
        "detail": "There is no such task.",
        "instance": path,
    }


async def test_a_task_is_made_of_what_was_given(client: AsyncClient) -> None:
    with freeze_time(NOON, real_asyncio=True):
        response = await client.post(
            TASKS,
            json={
                "title": " Write the report ",
                "description": "All of it.",
                "status": "in_progress",
                "priority": "high",
                "due_at": "2026-03-01T13:00:00+02:00",
            },
        )

    task = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == f"{TASKS}/{task['id']}"
    assert task == {
        "id": str(UUID(task["id"])),
        "title": "Write the report",
        "description": "All of it.",
        "status": "in_progress",
        "priority": "high",
        "due_at": "2026-03-01T11:00:00Z",
        "overdue": True,
        "version": 1,
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
    }


async def test_a_title_is_enough(client: AsyncClient, ada: User, db_session: AsyncSession) -> None:
    response = await client.post(TASKS, json={"title": "Write the report"})

    query = select(
        Task.id, Task.owner_id, Task.title, Task.description, Task.status, Task.priority, Task.due_at
    )
    row = (await db_session.execute(query)).one()
    task_id = UUID(response.json()["id"])
    assert row == (task_id, ada.id, "Write the report", "", "todo", "normal", None)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        pytest.param({}, "/body/title", id="no title"),
        pytest.param({"title": " "}, "/body/title", id="a blank title"),
        pytest.param({"title": "x" * 201}, "/body/title", id="a long title"),
        pytest.param({"title": "x\x00"}, "/body/title", id="U+0000 in the title"),
        pytest.param(
            {"title": "x", "description": "x" * 10_001}, "/body/description", id="a long description"
        ),
        pytest.param({"title": "x", "status": "lost"}, "/body/status", id="an unknown status"),
        pytest.param({"title": "x", "priority": "urgent"}, "/body/priority", id="an unknown priority"),
        pytest.param({"title": "x", "due_at": "tomorrow"}, "/body/due_at", id="no time"),
        pytest.param({"title": "x", "due_at": "2026-03-01T12:00:00"}, "/body/due_at", id="a time of no zone"),
        pytest.param(
            {"title": "x", "due_at": "0001-01-01T00:00:00+14:00"}, "/body/due_at", id="a time before time"
        ),
        pytest.param({"title": "x", "owner_id": str(UUID(int=1))}, "/body/owner_id", id="for somebody else"),
    ],
)
async def test_a_task_that_is_not_well_formed_is_refused(
    client: AsyncClient, db_session: AsyncSession, body: dict[str, Any], pointer: str
) -> None:
    response = await client.post(TASKS, json=body)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    assert await stored_titles(db_session) == []


async def test_a_body_that_is_not_json_is_refused(client: AsyncClient) -> None:
    response = await client.post(TASKS, content=b"{", headers={"Content-Type": "application/json"})

    assert (response.status_code, response.json()["title"]) == (422, "Invalid request")


async def test_a_task_can_be_read_by_its_owner(client: AsyncClient, ada: User, make_task: MakeTask) -> None:
    task = await make_task(ada, created_at=NOON, updated_at=NOON)

    response = await client.get(f"{TASKS}/{task.id}")

    assert response.status_code == 200
    assert response.json() == {
        "id": str(task.id),
        "title": "Write the report",
        "description": "",
        "status": "todo",
        "priority": "normal",
        "due_at": None,
        "overdue": False,
        "version": 1,
        "created_at": "2026-03-01T12:00:00Z",
        "updated_at": "2026-03-01T12:00:00Z",
    }


async def test_a_task_becomes_overdue_while_nobody_touches_it(
    client: AsyncClient, ada: User, make_task: MakeTask
) -> None:
    task = await make_task(ada, due_at=NOON)

    with freeze_time(NOON, real_asyncio=True) as clock:
        in_time = (await client.get(f"{TASKS}/{task.id}")).json()["overdue"]
        clock.tick(timedelta(seconds=1))
        late = (await client.get(f"{TASKS}/{task.id}")).json()["overdue"]

    assert (in_time, late) == (False, True)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_a_task_that_does_not_exist_is_not_found(client: AsyncClient, method: str) -> None:
    path = f"{TASKS}/{UUID(int=0)}"

    response = await client.request(method, path, json={"title": "x"} if method == "PATCH" else None)

    assert_not_found(response, path)


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_somebody_elses_task_is_not_found_and_not_touched(
    client: AsyncClient, grace: User, make_task: MakeTask, db_session: AsyncSession, method: str
) -> None:
    path = f"{TASKS}/{(await make_task(grace, 'Of Grace')).id}"

    response = await client.request(method, path, json={"title": "Of Ada"} if method == "PATCH" else None)

    assert_not_found(response, path)
    assert await stored_titles(db_session) == ["Of Grace"]


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_what_is_no_id_is_refused(client: AsyncClient, method: str) -> None:
    response = await client.request(method, f"{TASKS}/first", json={} if method == "PATCH" else None)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == ["/path/task_id"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({"title": "Read it"}, {"title": "Read it"}, id="title"),
        pytest.param({"description": "Twice."}, {"description": "Twice."}, id="description"),
        pytest.param({"status": "done"}, {"status": "done", "overdue": False}, id="status"),
        pytest.param({"priority": "low"}, {"priority": "low"}, id="priority"),
        pytest.param({"due_at": None}, {"due_at": None, "overdue": False}, id="no longer due"),
        pytest.param(
            {"due_at": "2027-01-01T00:00:00Z"},
            {"due_at": "2027-01-01T00:00:00Z", "overdue": False},
            id="due another day",
        ),
    ],
)
async def test_a_change_changes_what_was_given_and_leaves_the_rest(
    client: AsyncClient, ada: User, make_task: MakeTask, change: dict[str, Any], expected: dict[str, Any]
) -> None:
    task = await make_task(ada, due_at=NOON, created_at=NOON, updated_at=NOON)
    with freeze_time(NOON + HOUR, real_asyncio=True):
        before = (await client.get(f"{TASKS}/{task.id}")).json()

        response = await client.patch(f"{TASKS}/{task.id}", json=change, headers=ANY)
        after = (await client.get(f"{TASKS}/{task.id}")).json()

    assert response.status_code == 200
    assert (
        response.json()
        == after
        == {
            **before,
            **expected,
            "version": 2,
            "updated_at": "2026-03-01T13:00:00Z",
        }
    )


async def test_a_change_of_nothing_changes_nothing(
    client: AsyncClient, ada: User, make_task: MakeTask
) -> None:
    task = await make_task(ada, updated_at=NOON)

    response = await client.patch(f"{TASKS}/{task.id}", json={}, headers=ANY)

    assert (response.status_code, response.json()["updated_at"], response.json()["version"]) == (
        200,
        "2026-03-01T12:00:00Z",
        1,
    )


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"title": None}, "/body/title"),
        ({"title": ""}, "/body/title"),
        ({"status": None}, "/body/status"),
        ({"priority": "urgent"}, "/body/priority"),
        ({"id": str(UUID(int=1))}, "/body/id"),
    ],
)
async def test_a_change_that_is_not_well_formed_is_refused(
    client: AsyncClient, db_session: AsyncSession, change: dict[str, Any], pointer: str
) -> None:
    task = (await client.post(TASKS, json={"title": "As it was"})).json()

    response = await client.patch(f"{TASKS}/{task['id']}", json=change, headers=ANY)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]
    assert await stored_titles(db_session) == ["As it was"]


async def test_a_deleted_task_is_gone(
    client: AsyncClient, ada: User, make_task: MakeTask, db_session: AsyncSession
) -> None:
    task = await make_task(ada, "Delete me")
    await make_task(ada, "Keep me")

    response = await client.delete(f"{TASKS}/{task.id}")

    assert (response.status_code, response.content) == (204, b"")
    assert await stored_titles(db_session) == ["Keep me"]
    assert_not_found(await client.delete(f"{TASKS}/{task.id}"), f"{TASKS}/{task.id}")
