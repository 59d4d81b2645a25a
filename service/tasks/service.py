from typing import Annotated
from uuid import UUID

from fastapi import Depends

from service import clock
from service.auth.dependencies import CurrentUserDep
from service.dependencies import SessionDep
from service.errors import TaskNotFoundError
from service.pagination import PageRequest
from service.schemas import Page
from service.tasks.models import Task
from service.tasks.repository import TaskRepository
from service.tasks.schemas import TaskChange, TaskDraft, TaskFilter, TaskRead


class TaskService:
    """What one user can do with their tasks."""

    def __init__(self, tasks: TaskRepository) -> None:
        self._tasks = tasks

    async def create(self, draft: TaskDraft) -> TaskRead:
        task = await self._tasks.add(Task(**draft.model_dump()))
        return TaskRead.of(task, clock.now())

    async def page(self, request: PageRequest, wanted: TaskFilter) -> Page[TaskRead]:
        now = clock.now()
        rows, next_cursor = request.split(await self._tasks.page(request, wanted, now))
        return Page(items=[TaskRead.of(row, now) for row in rows], next_cursor=next_cursor)

    async def read(self, task_id: UUID) -> TaskRead:
        """The task.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
        """
        return TaskRead.of(await self._get(task_id), clock.now())

    async def change(self, task_id: UUID, change: TaskChange) -> TaskRead:
        """The task after the change.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
        """
        task = await self._get(task_id)
        await self._tasks.change(task, change.model_dump(exclude_unset=True))
        return TaskRead.of(task, clock.now())

    async def delete(self, task_id: UUID) -> None:
        """Remove the task.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
        """
        await self._tasks.delete(await self._get(task_id))

    async def _get(self, task_id: UUID) -> Task:
        task = await self._tasks.get(task_id)
        if task is None:
            raise TaskNotFoundError
        return task


def task_service(session: SessionDep, user: CurrentUserDep) -> TaskService:
    return TaskService(TaskRepository(session, user.id))


TaskServiceDep = Annotated[TaskService, Depends(task_service)]
