"""Two who arrange the same tasks at once: one waits for the other, and no place is taken twice."""

import asyncio
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from service.database import violated_constraint
from service.errors import TaskChangedError
from service.models import Task, User
from service.tasks.repository import TaskRepository
from tests.support.locks import somebody_waits
from tests.support.people import MakeTask

# Two connections that wait for each other.
pytestmark = pytest.mark.pg(isolation="database")


@pytest.fixture
async def tasks(ada: User, make_task: MakeTask) -> list[Task]:
    return [await make_task(ada, title) for title in "abcd"]


async def test_arrangements_that_race_leave_one_of_them(
    engine: AsyncEngine, ada: User, tasks: list[Task], db_session: AsyncSession
) -> None:
    ids = [task.id for task in tasks]
    session_maker = async_sessionmaker(engine)

    async def arrange(wanted: list[int]) -> None:
        async with session_maker.begin() as session:
            await TaskRepository(session, ada.id).arrange([ids[number] for number in wanted])

    await asyncio.gather(*(arrange(wanted) for wanted in ([3, 2, 1, 0], [1, 0, 3, 2]) * 3))

    titles = (await db_session.scalars(select(Task.title).order_by(Task.position))).all()
    places = await db_session.scalar(select(func.count(Task.position.distinct())))
    assert ("".join(titles) in {"dcba", "badc"}, places) == (True, 4)


async def test_a_place_that_is_still_taken_at_commit_is_refused(
    engine: AsyncEngine, tasks: list[Task]
) -> None:
    first, second = tasks[:2]
    async with AsyncSession(engine) as session:
        await session.execute(update(Task).where(Task.id == first.id).values(position=second.position))
        assert await session.scalar(text("SELECT 'nothing has been checked yet'"))

        with pytest.raises(IntegrityError) as caught:
            await session.commit()

    assert violated_constraint(caught.value) == "uq_tasks_owner_id_position"


async def test_a_task_that_was_changed_since_it_was_read_is_not_written(
    engine: AsyncEngine, ada: User, tasks: list[Task]
) -> None:
    async with AsyncSession(engine) as mine, AsyncSession(engine) as theirs:
        my_view, their_view = [await TaskRepository(s, ada.id).get(tasks[0].id) for s in (mine, theirs)]
        assert my_view
        assert their_view
        await TaskRepository(theirs, ada.id).change(their_view, {"title": "Theirs"})
        await theirs.commit()

        with pytest.raises(TaskChangedError):
            await TaskRepository(mine, ada.id).change(my_view, {"title": "Mine"})


async def test_whoever_waits_for_an_arrangement_goes_on_from_its_result(
    engine: AsyncEngine, ada: User, tasks: list[Task], db_session: AsyncSession
) -> None:
    a, b, c, _ = (task.id for task in tasks)
    async with AsyncSession(engine) as first:
        await TaskRepository(first, ada.id).arrange([b, a])
        second = asyncio.create_task(arrange_and_commit(engine, ada, [c, b]))
        await somebody_waits(db_session)
        await first.commit()
        await second

    titles = (await db_session.scalars(select(Task.title).order_by(Task.position))).all()
    assert "".join(titles) == "cabd"


async def test_tasks_are_locked_in_the_order_of_their_ids(
    engine: AsyncEngine, ada: User, make_task: MakeTask, db_session: AsyncSession
) -> None:
    high, low = [(await make_task(ada, id=UUID(int=number))).id for number in (2, 1)]
    async with AsyncSession(engine) as first:
        await first.execute(select(Task).where(Task.id == low).with_for_update())
        waiting = asyncio.create_task(arrange_and_commit(engine, ada, [high, low]))
        await somebody_waits(db_session)

        await first.execute(select(Task).where(Task.id == high).with_for_update(nowait=True))

        await first.commit()
        await waiting


async def arrange_and_commit(engine: AsyncEngine, owner: User, task_ids: list[UUID]) -> None:
    async with AsyncSession(engine) as session:
        await TaskRepository(session, owner.id).arrange(task_ids)
        await session.commit()
