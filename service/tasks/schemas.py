from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from service.schemas import Moment, Storable
from service.tasks.models import Task
from service.tasks.rules import Priority, Status, is_overdue

LARGEST_ARRANGEMENT = 500

Title = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), Storable]
TitlePart = Annotated[str, StringConstraints(min_length=1, max_length=200), Storable]
Description = Annotated[str, StringConstraints(max_length=10_000), Storable]


class TaskDraft(BaseModel):
    """A task to be made."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"title": "Write the report"}]})

    title: Title
    description: Description = ""
    status: Status = Status.TODO
    priority: Priority = Priority.NORMAL
    due_at: Moment | None = None


class TaskChange(BaseModel):
    """What to change of a task: the fields that are given. Only ``due_at`` can be null, which clears it."""

    model_config = ConfigDict(extra="forbid")

    # The defaults are never read: what was not given is left out of the change.
    title: Title = ""
    description: Description = ""
    status: Status = Status.TODO
    priority: Priority = Priority.NORMAL
    due_at: Moment | None = None


class TaskFilter(BaseModel):
    """Which tasks are wanted; all, where nothing is said."""

    status: Status | None = None
    priority: Priority | None = None
    overdue: bool | None = Field(default=None, description="Only the overdue ones, or only the others.")
    due_from: Moment | None = Field(default=None, description="Due at this moment or after it.")
    due_before: Moment | None = Field(default=None, description="Due before this moment.")
    title: TitlePart | None = Field(default=None, description="A part of the title, whatever its case.")


class Arrangement(BaseModel):
    """Some of one's tasks, in the order that they are to have among themselves."""

    model_config = ConfigDict(extra="forbid")

    task_ids: list[UUID] = Field(min_length=1, max_length=LARGEST_ARRANGEMENT)

    @field_validator("task_ids")
    @classmethod
    def _each_once(cls, task_ids: list[UUID]) -> list[UUID]:
        if len(set(task_ids)) < len(task_ids):
            raise ValueError("must not name a task twice")
        return task_ids


class TaskRead(BaseModel):
    """A task, as its owner sees it at one moment."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    description: str
    status: Status
    priority: Priority
    due_at: datetime | None
    overdue: bool
    version: int
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, task: Task, now: datetime) -> Self:
        return cls(
            id=task.id,
            title=task.title,
            description=task.description,
            status=task.status,
            priority=task.priority,
            due_at=task.due_at,
            overdue=is_overdue(task.status, task.due_at, now),
            version=task.version,
            created_at=task.created_at,
            updated_at=task.updated_at,
        )
