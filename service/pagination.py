"""Keyset pagination: a page starts after the last row of the one before, whatever was inserted since."""

import base64
import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Protocol, Self, TypeVar
from uuid import UUID

from fastapi import Depends, Query

from service.errors import InvalidCursorError

LARGEST_PAGE = 100


class Row(Protocol):
    @property
    def id(self) -> UUID: ...
    @property
    def created_at(self) -> datetime: ...


R = TypeVar("R", bound=Row)


@dataclasses.dataclass(frozen=True, slots=True)
class Cursor:
    """The place of one row in a list that is ordered by ``created_at``, then ``id``."""

    created_at: datetime
    id: UUID

    def encode(self) -> str:
        """The cursor as clients see it: opaque, and safe in a URL."""
        text = f"{self.created_at.isoformat()} {self.id.hex}"
        return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> Self:
        """The cursor that ``encode`` made ``text`` from.

        Raises:
            InvalidCursorError: It made no such text.
        """
        try:
            padded = text.encode() + b"=" * (-len(text) % 4)
            plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
            created_at, _, row_id = plain.partition(" ")
            cursor = cls(datetime.fromisoformat(created_at), UUID(hex=row_id))
        except ValueError:
            raise InvalidCursorError from None
        if cursor.encode() != text or cursor.created_at.utcoffset() is None:
            raise InvalidCursorError
        return cursor


@dataclasses.dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is wanted: at most ``limit`` rows, those after ``after``."""

    limit: int = 20
    after: Cursor | None = None

    def split(self, rows: Sequence[R]) -> tuple[Sequence[R], str | None]:
        """The page, and the cursor of the next one.

        Args:
            rows: What a query for ``limit + 1`` rows found; the one too many says that there is more.
        """
        page = rows[: self.limit]
        if len(rows) <= self.limit:
            return page, None
        return page, Cursor(page[-1].created_at, page[-1].id).encode()


async def page_request(
    limit: Annotated[int, Query(ge=1, le=LARGEST_PAGE)] = 20,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> PageRequest:
    return PageRequest(limit, None if cursor is None else Cursor.decode(cursor))


PageRequestDep = Annotated[PageRequest, Depends(page_request)]
