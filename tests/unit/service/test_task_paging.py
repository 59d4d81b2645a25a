"""Cursors of the two orders of tasks."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidCursorError
from service.models import Task
from service.pagination import Cursor
from service.tasks.paging import Order, TaskPage

FIRST = Cursor(datetime(2026, 3, 1, 12, tzinfo=UTC), UUID(int=1))


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_the_cursor_of_the_arranged_order_is_a_position(position: int) -> None:
    tasks = [Task(position=position), Task(position=position)]

    _, cursor = TaskPage(Order.POSITION, limit=1).split(tasks)

    assert TaskPage.after_cursor(Order.POSITION, 1, cursor) == TaskPage(Order.POSITION, 1, position)


def test_the_last_page_has_no_cursor() -> None:
    tasks = [Task(position=1)]

    assert TaskPage(Order.POSITION, limit=1).split(tasks) == (tasks, None)


def test_the_cursor_of_the_newest_is_a_row() -> None:
    assert TaskPage.after_cursor(Order.NEWEST, 20, FIRST.encode()) == TaskPage(Order.NEWEST, 20, FIRST)


@pytest.mark.parametrize("cursor", ["", "first", "01", " 1", str(2**63), FIRST.encode()])
def test_what_is_no_position_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursorError):
        TaskPage.after_cursor(Order.POSITION, 20, cursor)


def test_a_position_is_no_cursor_of_the_other_order() -> None:
    with pytest.raises(InvalidCursorError):
        TaskPage.after_cursor(Order.NEWEST, 20, "1")
