"""Cursors: opaque to clients, exact to us."""

import dataclasses
import string
from datetime import UTC, datetime
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InvalidCursorError
from service.pagination import Cursor, PageRequest, page_request
from tests.unit.service.strategies import MOMENTS

URL_SAFE = string.ascii_letters + string.digits + "_-"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclasses.dataclass(frozen=True)
class Row:
    id: UUID
    created_at: datetime = NOON


ROWS = [Row(UUID(int=number)) for number in range(4)]


@given(MOMENTS, st.uuids())
def test_a_cursor_survives_the_way_through_a_url_and_back(created_at: datetime, row_id: UUID) -> None:
    cursor = Cursor(created_at, row_id)

    text = cursor.encode()

    assert quote(text, safe="") == text
    assert Cursor.decode(text) == cursor


@given(st.text() | st.text(URL_SAFE, min_size=1, max_size=90))
def test_a_text_that_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursorError):
        Cursor.decode(text)


@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param(Cursor(datetime(2026, 3, 1, 12), UUID(int=1)).encode(), id="a time without an offset"),  # noqa: DTZ001 - that is refused
        pytest.param(Cursor(NOON, UUID(int=1)).encode() + "=", id="padded"),
        pytest.param(Cursor(NOON, UUID(int=1)).encode()[:-4], id="cut short"),
    ],
)
def test_a_text_that_is_almost_a_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursorError, match=r"^The cursor is not one that this list gave out\.$"):
        Cursor.decode(cursor)


@pytest.mark.parametrize(
    ("found", "page", "next_cursor"),
    [
        pytest.param(0, [], None, id="nothing"),
        pytest.param(2, ROWS[:2], None, id="less than a page"),
        pytest.param(3, ROWS[:3], None, id="exactly a page"),
        pytest.param(4, ROWS[:3], Cursor(NOON, UUID(int=2)).encode(), id="one more than a page"),
    ],
)
def test_the_row_too_many_says_that_there_is_another_page(
    found: int, page: list[Row], next_cursor: str | None
) -> None:
    assert PageRequest(limit=3).split(ROWS[:found]) == (page, next_cursor)


async def test_a_request_without_parameters_asks_for_the_first_twenty() -> None:
    assert await page_request() == PageRequest(limit=20, after=None)


async def test_a_request_with_a_cursor_asks_for_what_comes_after_it() -> None:
    cursor = Cursor(NOON, UUID(int=1))

    assert await page_request(limit=5, cursor=cursor.encode()) == PageRequest(limit=5, after=cursor)
