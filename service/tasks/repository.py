from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, not_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from service.pagination import PageRequest
from service.tasks.models import Task
from service.tasks.rules import OPEN
from service.tasks.schemas import TaskFilter


def overdue(now: datetime) -> ColumnElement[bool]:
    """`service.tasks.rules.is_overdue`, as PostgreSQL computes it; false, not null, without a due date."""
    return and_(Task.status.in_(OPEN), func.coalesce(Task.due_at < now, False))


class TaskRepository:
    """The tasks of one owner: no method can touch anybody else's."""

    def __init__(self, session: AsyncSession, owner_id: UUID) -> None:
        self._session = session
        self._owner_id = owner_id

    async def add(self, task: Task) -> Task:
        """Insert ``task`` as one of the owner's."""
        task.owner_id = self._owner_id
        self._session.add(task)
        await self._session.flush()
        return task

    async def get(self, task_id: UUID) -> Task | None:
        query = select(Task).where(Task.id == task_id, Task.owner_id == self._owner_id)
        return (await self._session.scalars(query)).one_or_none()

    async def page(self, request: PageRequest, wanted: TaskFilter, now: datetime) -> Sequence[Task]:
        """One row more than ``request.limit``, where there are so many; the newest first."""
        query = (
            select(Task)
            .where(Task.owner_id == self._owner_id)
            .order_by(Task.created_at.desc(), Task.id.desc())
            .limit(request.limit + 1)
        )
        if wanted.status is not None:
            query = query.where(Task.status == wanted.status)
        if wanted.overdue is not None:
            query = query.where(overdue(now) if wanted.overdue else not_(overdue(now)))
        if request.after is not None:
            query = query.where(
                tuple_(Task.created_at, Task.id) < tuple_(request.after.created_at, request.after.id)
            )
        return (await self._session.scalars(query)).all()

    async def change(self, task: Task, values: Mapping[str, Any]) -> None:
        """Set columns of ``task``; what it holds afterwards is what the database holds."""
        for column, value in values.items():
            setattr(task, column, value)
        await self._session.flush()

    async def delete(self, task: Task) -> None:
        await self._session.delete(task)
        await self._session.flush()
