from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, func, not_, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from service.errors import TaskChangedError, TaskNotFoundError
from service.pagination import Cursor
from service.tasks.models import Task
from service.tasks.paging import Order, TaskPage
from service.tasks.rules import OPEN
from service.tasks.schemas import TaskFilter


def overdue(now: datetime) -> ColumnElement[bool]:
    """`service.tasks.rules.is_overdue`, as PostgreSQL computes it; false, not null, without a due date."""
    return and_(Task.status.in_(OPEN), func.coalesce(Task.due_at < now, False))


class TaskRepository:
    """The tasks of one owner: no method can touch anybody else's, unless ``reaches_all``."""

    def __init__(self, session: AsyncSession, owner_id: UUID, *, reaches_all: bool = False) -> None:
        self._session = session
        self._owner_id = owner_id
        self._reaches_all = reaches_all

    async def add(self, task: Task) -> Task:
        """Insert ``task`` as one of the owner's, at the end of their list."""
        task.owner_id = self._owner_id
        self._session.add(task)
        await self._session.flush()
        return task

    async def get(self, task_id: UUID) -> Task | None:
        query = select(Task).where(Task.id == task_id)
        if not self._reaches_all:
            query = query.where(Task.owner_id == self._owner_id)
        return (await self._session.scalars(query)).one_or_none()

    async def page(self, request: TaskPage, wanted: TaskFilter, now: datetime) -> Sequence[Task]:
        """One row more than ``request.limit``, where there are so many."""
        query = select(Task).where(Task.owner_id == self._owner_id, *_conditions(wanted, now))
        if request.order is Order.NEWEST:
            query = query.order_by(Task.created_at.desc(), Task.id.desc())
        else:
            query = query.order_by(Task.position)
        if isinstance(request.after, Cursor):
            query = query.where(
                tuple_(Task.created_at, Task.id) < tuple_(request.after.created_at, request.after.id)
            )
        elif request.after is not None:
            query = query.where(Task.position > request.after)
        return (await self._session.scalars(query.limit(request.limit + 1))).all()

    async def change(self, task: Task, values: Mapping[str, Any]) -> None:
        """Set columns of ``task``; what it holds afterwards is what the database holds.

        Raises:
            TaskChangedError: Somebody has changed or deleted it since it was read.
        """
        for column, value in values.items():
            setattr(task, column, value)
        await self._flush()

    async def delete(self, task: Task) -> None:
        """Remove ``task``.

        Raises:
            TaskChangedError: Somebody has changed or deleted it since it was read.
        """
        await self._session.delete(task)
        await self._flush()

    async def arrange(self, task_ids: Sequence[UUID]) -> None:
        """Put these tasks of the owner into this order: they exchange the places that they have.

        Raises:
            TaskNotFoundError: One of them is not there, or somebody else's.
        """
        query = (
            select(Task.id, Task.position)
            .where(Task.owner_id == self._owner_id, Task.id.in_(task_ids))
            .order_by(Task.id)  # two that arrange the same tasks lock them in the same order
            .with_for_update()
        )
        rows = (await self._session.execute(query)).all()
        if len(rows) != len(task_ids):
            raise TaskNotFoundError
        places = dict(zip(task_ids, sorted(row.position for row in rows), strict=True))
        await self._session.execute(
            update(Task)
            .where(Task.id.in_(task_ids))
            .values(position=case(places, value=Task.id), updated_at=Task.updated_at)
            .execution_options(synchronize_session=False)
        )

    async def _flush(self) -> None:
        try:
            await self._session.flush()
        except StaleDataError:
            raise TaskChangedError from None


def _conditions(wanted: TaskFilter, now: datetime) -> list[ColumnElement[bool]]:
    found = []
    if wanted.status is not None:
        found.append(Task.status == wanted.status)
    if wanted.priority is not None:
        found.append(Task.priority == wanted.priority)
    if wanted.overdue is not None:
        found.append(overdue(now) if wanted.overdue else not_(overdue(now)))
    if wanted.due_from is not None:
        found.append(Task.due_at >= wanted.due_from)
    if wanted.due_before is not None:
        found.append(Task.due_at < wanted.due_before)
    if wanted.title is not None:
        found.append(Task.title.icontains(wanted.title, autoescape=True))
    return found
