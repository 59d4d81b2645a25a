from typing import Annotated
from uuid import UUID

from fastapi import Depends

from service import clock
from service.auth.dependencies import CurrentUserDep
from service.dependencies import SessionDep
from service.errors import TaskNotFoundError
from service.schemas import Page
from service.tasks import versions
from service.tasks.models import Task
from service.tasks.paging import TaskPage
from service.tasks.repository import TaskRepository
from service.tasks.schemas import Arrangement, TaskChange, TaskDraft, TaskFilter, TaskRead
from service.webhooks.events import Event
from service.webhooks.outbox import Outbox


class TaskService:
    """What one user can do with their tasks."""

    def __init__(self, tasks: TaskRepository, outbox: Outbox) -> None:
        self._tasks = tasks
        self._outbox = outbox

    async def create(self, draft: TaskDraft) -> TaskRead:
        task = await self._tasks.add(Task(**draft.model_dump()))
        return await self._told(Event.TASK_CREATED, task)

    async def page(self, request: TaskPage, wanted: TaskFilter) -> Page[TaskRead]:
        now = clock.now()
        rows, next_cursor = request.split(await self._tasks.page(request, wanted, now))
        return Page(items=[TaskRead.of(row, now) for row in rows], next_cursor=next_cursor)

    async def read(self, task_id: UUID) -> TaskRead:
        """The task.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
        """
        return TaskRead.of(await self._get(task_id), clock.now())

    async def change(self, task_id: UUID, change: TaskChange, if_match: str | None) -> TaskRead:
        """The task after the change of the version that ``if_match`` names.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
            VersionRequiredError: ``if_match`` is None.
            StaleVersionError: The task has another version.
            TaskChangedError: It got another one at the same time.
        """
        task = await self._get(task_id)
        versions.check(if_match, task.version, required=True)
        before = task.version
        await self._tasks.change(task, change.model_dump(exclude_unset=True))
        if task.version == before:
            return TaskRead.of(task, clock.now())
        return await self._told(Event.TASK_UPDATED, task)

    async def delete(self, task_id: UUID, if_match: str | None) -> None:
        """Remove the task; if ``if_match`` is given, only the version that it names.

        Raises:
            TaskNotFoundError: There is none, or it is somebody else's.
            StaleVersionError: The task has another version.
            TaskChangedError: It got another one at the same time.
        """
        task = await self._get(task_id)
        versions.check(if_match, task.version, required=False)
        await self._tasks.delete(task)
        await self._told(Event.TASK_DELETED, task)

    async def arrange(self, arrangement: Arrangement) -> None:
        """Put some tasks into another order.

        Raises:
            TaskNotFoundError: One of them is not there, or somebody else's.
        """
        await self._tasks.arrange(arrangement.task_ids)

    async def _told(self, event: Event, task: Task) -> TaskRead:
        """The task, after its owner's webhooks have been left a message in the same transaction."""
        now = clock.now()
        shown = TaskRead.of(task, now)
        await self._outbox.put(task.owner_id, event, {"task": shown.model_dump(mode="json")}, now)
        return shown

    async def _get(self, task_id: UUID) -> Task:
        task = await self._tasks.get(task_id)
        if task is None:
            raise TaskNotFoundError
        return task


async def task_service(session: SessionDep, user: CurrentUserDep) -> TaskService:
    tasks = TaskRepository(session, user.id, reaches_all=user.is_admin)
    return TaskService(tasks, Outbox(session))


TaskServiceDep = Annotated[TaskService, Depends(task_service)]
