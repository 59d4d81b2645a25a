"""When a task is late. That PostgreSQL agrees is shown by the integration tier."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given

from service.tasks.rules import OPEN, Status, is_overdue
from tests.unit.service.strategies import MOMENTS, OFFSETS

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("status", OPEN)
@pytest.mark.parametrize(
    ("due_at", "expected"),
    [
        pytest.param(NOON - SECOND, True, id="due a second ago"),
        pytest.param(NOON, False, id="due this moment"),
        pytest.param(NOON + SECOND, False, id="due in a second"),
        pytest.param(None, False, id="never due"),
        pytest.param(
            datetime.fromisoformat("2026-03-01T13:59:59+02:00"), True, id="due a second ago, in Cairo"
        ),
    ],
)
def test_an_open_task_is_overdue_after_its_due_time(
    status: Status, due_at: datetime | None, expected: bool
) -> None:
    assert is_overdue(status, due_at, NOON) is expected


@given(MOMENTS, MOMENTS)
def test_a_finished_task_is_never_overdue(due_at: datetime, now: datetime) -> None:
    assert not is_overdue(Status.DONE, due_at, now)


@given(MOMENTS, OFFSETS, MOMENTS, MOMENTS)
def test_what_is_overdue_stays_overdue(
    due: datetime, offset: timezone, one: datetime, other: datetime
) -> None:
    due_at = due.replace(tzinfo=offset)
    now, then = sorted((one, other))

    assert is_overdue(Status.TODO, due_at, then) or not is_overdue(Status.TODO, due_at, now)
