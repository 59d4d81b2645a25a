"""GET /api/v1/tasks: whose tasks, in which order, page by page, filtered."""

from datetime import UTC, datetime, timedelta

import pytest
from freezegun import freeze_time
from httpx import AsyncClient

from service.models import User
from tests.support.people import AsUser, MakeTask

TASKS = "/api/v1/tasks"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def logged_in(as_user: AsUser, ada: User) -> None:
    """Every request of this module is Ada's."""
    as_user(ada)


async def test_a_list_holds_ones_own_tasks_the_newest_first(
    client: AsyncClient, ada: User, grace: User, make_task: MakeTask
) -> None:
    await make_task(ada, "Older", created_at=NOON)
    await make_task(ada, "Newer", created_at=NOON + HOUR)
    await make_task(grace, "Of Grace")

    response = await client.get(TASKS)

    page = response.json()
    assert response.status_code == 200
    assert ([task["title"] for task in page["items"]], page["next_cursor"]) == (["Newer", "Older"], None)


async def test_a_list_is_read_page_by_page(client: AsyncClient, ada: User, make_task: MakeTask) -> None:
    for number in range(5):
        await make_task(ada, f"{number}", created_at=NOON + number * HOUR)

    pages, params = [], {"limit": "2"}
    while True:
        page = (await client.get(TASKS, params=params)).json()
        pages.append([task["title"] for task in page["items"]])
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]

    assert pages == [["4", "3"], ["2", "1"], ["0"]]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param({}, ["Done late", "Late", "Later", "Begun"], id="everything"),
        pytest.param({"status": "todo"}, ["Late", "Later"], id="by status"),
        pytest.param({"priority": "high"}, ["Begun"], id="by priority"),
        pytest.param(
            {"due_from": "2026-03-01T14:00:00+02:00"}, ["Later", "Begun"], id="due from noon, in Cairo"
        ),
        pytest.param({"due_before": "2026-03-01T12:00:00Z"}, ["Done late", "Late"], id="due before noon"),
        pytest.param({"title": "LATE"}, ["Done late", "Late", "Later"], id="by a part of the title"),
        pytest.param({"title": "%"}, [], id="by a sign that is no wildcard"),
        pytest.param({"overdue": "true"}, ["Late"], id="overdue"),
        pytest.param({"overdue": "false"}, ["Done late", "Later", "Begun"], id="not overdue"),
        pytest.param({"overdue": "true", "status": "done"}, [], id="what cannot be"),
    ],
)
async def test_a_list_can_be_filtered(
    client: AsyncClient, ada: User, make_task: MakeTask, params: dict[str, str], expected: list[str]
) -> None:
    await make_task(ada, "Begun", status="in_progress", priority="high", due_at=NOON, created_at=NOON)
    await make_task(ada, "Later", due_at=NOON + HOUR, created_at=NOON + HOUR)
    await make_task(ada, "Late", due_at=NOON - HOUR, created_at=NOON + 2 * HOUR)
    await make_task(ada, "Done late", status="done", due_at=NOON - HOUR, created_at=NOON + 3 * HOUR)

    with freeze_time(NOON, real_asyncio=True):
        response = await client.get(TASKS, params=params)

    assert [task["title"] for task in response.json()["items"]] == expected


@pytest.mark.parametrize(
    ("params", "pointer"),
    [
        ({"status": "lost"}, "/query/status"),
        ({"overdue": "perhaps"}, "/query/overdue"),
        ({"limit": "0"}, "/query/limit"),
        ({"order": "best"}, "/query/order"),
        ({"priority": "urgent"}, "/query/priority"),
        ({"due_from": "2026-03-01T12:00:00"}, "/query/due_from"),
        ({"due_before": "noon"}, "/query/due_before"),
        ({"title": ""}, "/query/title"),
        ({"title": "\x00"}, "/query/title"),
    ],
)
async def test_a_filter_that_means_nothing_is_refused(
    client: AsyncClient, params: dict[str, str], pointer: str
) -> None:
    response = await client.get(TASKS, params=params)

    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


async def test_a_cursor_of_no_list_is_refused(client: AsyncClient) -> None:
    response = await client.get(TASKS, params={"cursor": "2"})

    assert (response.status_code, response.json()["title"]) == (422, "Invalid cursor")
