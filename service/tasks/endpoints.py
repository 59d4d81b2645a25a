from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from service import problems
from service.headers import described
from service.idempotency.route import IdempotentRoute
from service.schemas import Page
from service.tasks.paging import TaskPageDep
from service.tasks.schemas import Arrangement, TaskChange, TaskDraft, TaskFilter, TaskRead
from service.tasks.service import TaskServiceDep
from service.tasks.versions import etag

router = APIRouter(
    prefix="/api/v1",
    tags=["tasks"],
    route_class=IdempotentRoute,
    responses=problems.responses(401, 422),
)


IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The `ETag` of the version that is meant, or `*`.",
        openapi_examples={"version": {"summary": "A version", "value": '"1"'}},
    ),
]

WITH_VERSION: dict[int | str, dict[str, Any]] = {200: {"headers": described("ETag")}}


@router.post(
    "/tasks", status_code=HTTPStatus.CREATED, responses={201: {"headers": described("ETag", "Location")}}
)
async def create_task(
    draft: TaskDraft, tasks: TaskServiceDep, request: Request, response: Response
) -> TaskRead:
    """Make a task of one's own. ``Location`` says where it is, ``ETag`` which version it has."""
    task = await tasks.create(draft)
    response.headers["Location"] = str(request.app.url_path_for("read_task", task_id=task.id))
    response.headers["ETag"] = etag(task.version)
    return task


@router.get("/tasks")
async def list_tasks(
    wanted: Annotated[TaskFilter, Query()], request: TaskPageDep, tasks: TaskServiceDep
) -> Page[TaskRead]:
    """One's own tasks, the newest first or as one has arranged them."""
    return await tasks.page(request, wanted)


@router.put("/task-order", status_code=HTTPStatus.NO_CONTENT, responses=problems.responses(404))
async def arrange_tasks(arrangement: Arrangement, tasks: TaskServiceDep) -> None:
    """Arrange some or all of one's tasks: they exchange the places that they have in the list."""
    await tasks.arrange(arrangement)


@router.get("/tasks/{task_id}", responses={**WITH_VERSION, **problems.responses(404)})
async def read_task(task_id: UUID, tasks: TaskServiceDep, response: Response) -> TaskRead:
    """A task, for its owner and admins."""
    task = await tasks.read(task_id)
    response.headers["ETag"] = etag(task.version)
    return task


@router.patch("/tasks/{task_id}", responses={**WITH_VERSION, **problems.responses(404, 409, 412, 428)})
async def change_task(
    task_id: UUID, change: TaskChange, tasks: TaskServiceDep, response: Response, if_match: IfMatch = None
) -> TaskRead:
    """Change the fields that are given, and leave the others. Needs ``If-Match``: no change is lost."""
    task = await tasks.change(task_id, change, if_match)
    response.headers["ETag"] = etag(task.version)
    return task


@router.delete(
    "/tasks/{task_id}", status_code=HTTPStatus.NO_CONTENT, responses=problems.responses(404, 409, 412)
)
async def delete_task(task_id: UUID, tasks: TaskServiceDep, if_match: IfMatch = None) -> None:
    """Remove a task. With ``If-Match`` only if it has that version."""
    await tasks.delete(task_id, if_match)
