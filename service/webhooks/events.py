import enum


class Event(enum.StrEnum):
    """What webhooks are told of."""

    TASK_CREATED = "task.created"
    TASK_UPDATED = "task.updated"
    TASK_DELETED = "task.deleted"


class State(enum.StrEnum):
    """What has become of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up after so many attempts. It can be revived."""
