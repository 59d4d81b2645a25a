"""PUT /api/v1/task-order, and the list in that order."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import AsyncClient

from service.models import User
from tests.support.people import AsUser, MakeTask

TASKS = "/api/v1/tasks"
ORDER = "/api/v1/task-order"


@pytest.fixture(autouse=True)
def logged_in(as_user: AsUser, ada: User) -> None:
    as_user(ada)


@pytest.fixture
async def abcd(ada: User, make_task: MakeTask) -> dict[str, str]:
    """The ids of four tasks, by their titles."""
    return {title: str((await make_task(ada, title)).id) for title in "abcd"}


async def arranged(client: AsyncClient, **params: Any) -> str:
    page = (await client.get(TASKS, params={"order": "position", **params})).json()
    return "".join(task["title"] for task in page["items"])


async def test_a_new_task_stands_at_the_end(client: AsyncClient, abcd: dict[str, str]) -> None:
    await client.post(TASKS, json={"title": "e"})

    assert await arranged(client) == "abcde"


@pytest.mark.parametrize(("wanted", "expected"), [("dcba", "dcba"), ("db", "adcb"), ("a", "abcd")])
async def test_tasks_exchange_their_places(
    client: AsyncClient, abcd: dict[str, str], wanted: str, expected: str
) -> None:
    response = await client.put(ORDER, json={"task_ids": [abcd[title] for title in wanted]})

    assert (response.status_code, response.content) == (204, b"")
    assert await arranged(client) == expected


async def test_a_place_is_not_a_part_of_the_task_and_moves_no_version(
    client: AsyncClient, abcd: dict[str, str]
) -> None:
    before = (await client.get(f"{TASKS}/{abcd['a']}")).json()

    await client.put(ORDER, json={"task_ids": [abcd["b"], abcd["a"]]})

    assert (await client.get(f"{TASKS}/{abcd['a']}")).json() == before


async def test_the_arranged_list_is_read_page_by_page(client: AsyncClient, abcd: dict[str, str]) -> None:
    params: dict[str, Any] = {"order": "position", "limit": 3}
    first = (await client.get(TASKS, params=params)).json()

    assert await arranged(client, limit=3) == "abc"
    assert await arranged(client, limit=3, cursor=first["next_cursor"]) == "d"


async def test_a_task_that_is_somebody_elses_or_gone_lets_nothing_move(
    client: AsyncClient, abcd: dict[str, str], grace: User, make_task: MakeTask
) -> None:
    for stranger in (uuid4(), (await make_task(grace)).id):
        response = await client.put(ORDER, json={"task_ids": [abcd["b"], str(stranger), abcd["a"]]})

        assert (response.status_code, response.json()["title"]) == (404, "Task not found")
    assert await arranged(client) == "abcd"


@pytest.mark.parametrize(
    "task_ids",
    [
        pytest.param([], id="none"),
        pytest.param([str(UUID(int=1))] * 2, id="one twice"),
        pytest.param(["first"], id="what is no id"),
        pytest.param([str(UUID(int=number)) for number in range(501)], id="too many"),
    ],
)
async def test_an_order_that_is_none_is_refused(client: AsyncClient, task_ids: list[str]) -> None:
    response = await client.put(ORDER, json={"task_ids": task_ids})

    assert response.status_code == 422


async def test_the_cursor_of_one_order_is_none_of_the_other(
    client: AsyncClient, abcd: dict[str, str]
) -> None:
    newest = (await client.get(TASKS, params={"limit": 1})).json()["next_cursor"]

    response = await client.get(TASKS, params={"order": "position", "cursor": newest})

    assert (response.status_code, response.json()["title"]) == (422, "Invalid cursor")
