"""Tasks in PostgreSQL: whose they are, in which order they come, which of them are late."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from freezegun import freeze_time
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from service.models import Task, User
from service.pagination import Cursor
from service.tasks.paging import TaskPage
from service.tasks.repository import TaskRepository
from service.tasks.rules import Priority, Status, is_overdue
from service.tasks.schemas import TaskFilter
from tests.support.people import MakeTask

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
EVERYTHING = TaskFilter()


@pytest.fixture
def tasks(db_session: AsyncSession, ada: User) -> TaskRepository:
    """The tasks of Ada."""
    return TaskRepository(db_session, ada.id)


async def titles(tasks: TaskRepository, request: TaskPage, wanted: TaskFilter = EVERYTHING) -> list[str]:
    return [task.title for task in await tasks.page(request, wanted, NOON)]


async def test_an_added_task_belongs_to_the_owner_and_has_the_defaults(
    tasks: TaskRepository, ada: User, db_session: AsyncSession
) -> None:
    task = await tasks.add(Task(title="Write the report"))
    await db_session.commit()
    await db_session.refresh(task)

    assert (task.owner_id, task.description, task.status, task.priority, task.due_at) == (
        ada.id,
        "",
        Status.TODO,
        Priority.NORMAL,
        None,
    )


async def test_a_row_that_something_else_writes_has_the_same_defaults(
    ada: User, db_session: AsyncSession
) -> None:
    await db_session.execute(
        text("INSERT INTO tasks (owner_id, title) VALUES (:owner, 'By hand')"), {"owner": ada.id}
    )

    row = (
        await db_session.execute(
            select(Task.title, Task.description, Task.status, Task.priority, Task.due_at)
        )
    ).one()
    assert row == ("By hand", "", Status.TODO, Priority.NORMAL, None)


async def test_times_come_back_with_their_zone(
    tasks: TaskRepository, make_task: MakeTask, ada: User, db_session: AsyncSession
) -> None:
    task = await make_task(ada, due_at=datetime.fromisoformat("2026-03-01T14:00:00+02:00"))

    await db_session.refresh(task)

    assert task.due_at == NOON
    assert task.due_at.tzinfo is not None


async def test_a_change_moves_updated_at_and_nothing_else(
    tasks: TaskRepository, db_session: AsyncSession
) -> None:
    with freeze_time(NOON, real_asyncio=True):
        task = await tasks.add(Task(title="Write the report"))
    with freeze_time(NOON + HOUR, real_asyncio=True):
        await tasks.change(task, {"status": Status.DONE})
    await db_session.refresh(task)

    assert (task.title, task.status, task.created_at, task.updated_at) == (
        "Write the report",
        Status.DONE,
        NOON,
        NOON + HOUR,
    )


async def test_somebody_elses_task_is_not_there(
    tasks: TaskRepository, make_task: MakeTask, ada: User, grace: User
) -> None:
    mine, theirs = await make_task(ada), await make_task(grace)

    assert await tasks.get(mine.id) is mine
    assert await tasks.get(theirs.id) is None
    assert await tasks.page(TaskPage(), EVERYTHING, NOON) == [mine]


async def test_a_deleted_task_is_gone_and_the_others_stay(
    tasks: TaskRepository, make_task: MakeTask, ada: User, db_session: AsyncSession
) -> None:
    first, _ = await make_task(ada, "First"), await make_task(ada, "Second")

    await tasks.delete(first)
    await db_session.commit()

    assert (await db_session.scalars(select(Task.title))).all() == ["Second"]


async def test_the_newest_task_comes_first_and_the_id_decides_between_equals(
    tasks: TaskRepository, make_task: MakeTask, ada: User, db_session: AsyncSession
) -> None:
    await make_task(ada, "Newest", created_at=NOON + HOUR)
    await make_task(ada, "Lower id", created_at=NOON, id=UUID(int=1))
    await make_task(ada, "Higher id", created_at=NOON, id=UUID(int=2))
    await db_session.execute(text("SET LOCAL enable_indexscan = off"))  # it has this order by itself
    await db_session.execute(text("SET LOCAL enable_bitmapscan = off"))

    assert await titles(tasks, TaskPage()) == ["Newest", "Higher id", "Lower id"]


async def test_pages_join_without_gap_or_overlap_even_if_rows_are_added_between(
    tasks: TaskRepository, make_task: MakeTask, ada: User
) -> None:
    for number in range(4):
        await make_task(ada, f"{number}", created_at=NOON, id=UUID(int=number))

    first = await tasks.page(TaskPage(limit=2), EVERYTHING, NOON)
    await make_task(ada, "Added between", created_at=NOON + HOUR)
    second = await titles(tasks, TaskPage(limit=2, after=Cursor(first[1].created_at, first[1].id)))

    assert [task.title for task in first[:2]] == ["3", "2"]
    assert second == ["1", "0"]


@pytest.mark.parametrize("status", Status)
async def test_a_status_finds_its_tasks(
    tasks: TaskRepository, make_task: MakeTask, ada: User, status: Status
) -> None:
    for each in Status:
        await make_task(ada, each.value, status=each)

    assert await titles(tasks, TaskPage(), TaskFilter(status=status)) == [status.value]


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_database_and_the_rule_agree_on_what_is_overdue(
    tasks: TaskRepository, make_task: MakeTask, ada: User, wanted: bool
) -> None:
    made = [
        await make_task(ada, f"{status} {due_at}", status=status, due_at=due_at)
        for status in Status
        for due_at in (None, NOON - timedelta(microseconds=1), NOON, NOON + HOUR)
    ]

    found = await titles(tasks, TaskPage(limit=100), TaskFilter(overdue=wanted))

    expected = {task.title for task in made if is_overdue(task.status, task.due_at, NOON) is wanted}
    assert set(found) == expected
    assert len(found) == len(expected) == (2 if wanted else 10)


async def test_filters_and_pages_combine(tasks: TaskRepository, make_task: MakeTask, ada: User) -> None:
    for number in range(3):
        await make_task(ada, f"Late {number}", created_at=NOON, id=UUID(int=number), due_at=NOON - HOUR)
        await make_task(ada, f"Begun {number}", status=Status.IN_PROGRESS, due_at=NOON - HOUR)

    wanted = TaskFilter(status=Status.TODO, overdue=True)
    found = await titles(tasks, TaskPage(limit=1, after=Cursor(NOON, UUID(int=2))), wanted)

    assert found == ["Late 1", "Late 0"]


async def test_ordering_a_list_needs_no_sort(ada: User, db_session: AsyncSession) -> None:
    await db_session.execute(text("SET LOCAL enable_seqscan = off"))
    await db_session.execute(text("SET LOCAL enable_bitmapscan = off"))
    query = "EXPLAIN SELECT * FROM tasks WHERE owner_id = :owner ORDER BY created_at DESC, id DESC LIMIT 20"

    plan = "\n".join((await db_session.scalars(text(query), {"owner": ada.id})).all())

    assert "Index Scan Backward using ix_tasks_owner_id_created_at_id" in plan
    assert "Sort" not in plan


async def test_what_is_not_committed_is_rolled_back(
    tasks: TaskRepository, make_task: MakeTask, ada: User, db_session: AsyncSession
) -> None:
    await make_task(ada, "Kept")
    await tasks.add(Task(title="Given up"))

    await db_session.rollback()

    assert (await db_session.execute(select(func.count(Task.id)))).scalar_one() == 1
