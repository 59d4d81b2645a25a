"""Pages of a list of tasks, in either of its orders. The cursor of one order is none of the other."""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Annotated, Self

from fastapi import Depends, Query

from service.errors import InvalidCursorError
from service.pagination import LARGEST_PAGE, Cursor, PageRequest
from service.tasks.models import Task

LARGEST_POSITION = 2**63 - 1


class Order(enum.StrEnum):
    NEWEST = "newest"
    """The newest first."""
    POSITION = "position"
    """As the owner has arranged them."""


@dataclasses.dataclass(frozen=True, slots=True)
class TaskPage:
    """Which part of a list is wanted: at most ``limit`` rows, those after ``after``."""

    order: Order = Order.NEWEST
    limit: int = 20
    after: Cursor | int | None = None
    """A row's place: a cursor if the newest come first, a position otherwise."""

    @classmethod
    def after_cursor(cls, order: Order, limit: int, cursor: str | None) -> Self:
        """The page that begins after ``cursor``; the first one without.

        Raises:
            InvalidCursorError: No list in this order gave out such a cursor.
        """
        if cursor is None:
            return cls(order, limit)
        return cls(order, limit, Cursor.decode(cursor) if order is Order.NEWEST else _position(cursor))

    def split(self, rows: Sequence[Task]) -> tuple[Sequence[Task], str | None]:
        """The page, and the cursor of the next one; ``rows`` are those of a query for ``limit + 1``."""
        if self.order is Order.NEWEST:
            return PageRequest(self.limit).split(rows)
        page = rows[: self.limit]
        return page, str(page[-1].position) if len(rows) > self.limit else None


async def task_page(
    order: Annotated[Order, Query(description="The newest first, or as arranged.")] = Order.NEWEST,
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 20,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> TaskPage:
    return TaskPage.after_cursor(order, limit, cursor)


def _position(text: str) -> int:
    try:
        position = int(text)
    except ValueError:
        raise InvalidCursorError from None
    if str(position) != text or abs(position) > LARGEST_POSITION:
        raise InvalidCursorError
    return position


TaskPageDep = Annotated[TaskPage, Depends(task_page)]
