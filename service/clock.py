"""The one place the service reads the time from."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, in UTC and aware of it."""
    return datetime.now(UTC)
