from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from service import problems
from service.idempotency.route import IdempotentRoute
from service.pagination import PageRequestDep
from service.schemas import Page
from service.tasks.schemas import TaskChange, TaskDraft, TaskFilter, TaskRead
from service.tasks.service import TaskServiceDep

router = APIRouter(
    prefix="/api/v1/tasks",
    tags=["tasks"],
    route_class=IdempotentRoute,
    responses=problems.responses(401, 422),
)


@router.post("", status_code=HTTPStatus.CREATED)
async def create_task(
    draft: TaskDraft, tasks: TaskServiceDep, request: Request, response: Response
) -> TaskRead:
    """Make a task of one's own. ``Location`` says where it is."""
    task = await tasks.create(draft)
    response.headers["Location"] = str(request.app.url_path_for("read_task", task_id=task.id))
    return task


@router.get("")
async def list_tasks(
    wanted: Annotated[TaskFilter, Depends()], request: PageRequestDep, tasks: TaskServiceDep
) -> Page[TaskRead]:
    """One's own tasks, the newest first."""
    return await tasks.page(request, wanted)


@router.get("/{task_id}", responses=problems.responses(404))
async def read_task(task_id: UUID, tasks: TaskServiceDep) -> TaskRead:
    return await tasks.read(task_id)


@router.patch("/{task_id}", responses=problems.responses(404))
async def change_task(task_id: UUID, change: TaskChange, tasks: TaskServiceDep) -> TaskRead:
    """Change the fields that are given, and leave the others."""
    return await tasks.change(task_id, change)


@router.delete("/{task_id}", status_code=HTTPStatus.NO_CONTENT, responses=problems.responses(404))
async def delete_task(task_id: UUID, tasks: TaskServiceDep) -> None:
    await tasks.delete(task_id)
