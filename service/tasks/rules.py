"""What is true of a task, whoever asks and wherever it is kept."""

import enum
from datetime import datetime


class Status(enum.StrEnum):
    TODO = "todo"
    IN_PROGRESS = "in_progress"
    DONE = "done"


class Priority(enum.StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


OPEN = (Status.TODO, Status.IN_PROGRESS)
"""What still has to be done."""


def is_overdue(status: Status, due_at: datetime | None, now: datetime) -> bool:
    """Whether a task is late: still open, and due before ``now``. At the very moment it is not yet."""
    return status in OPEN and due_at is not None and due_at < now
