"""Types that the schemas of more than one feature use."""

from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel

Item = TypeVar("Item")


def encodable(text: str) -> str:
    """``text``, unless it holds half a surrogate pair, which JSON can express and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must not contain half of a surrogate pair") from None
    return text


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain the character U+0000")
    return encodable(text)


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be between the years 1 and 9999 in UTC") from None


Storable = AfterValidator(_storable)
"""For strings that PostgreSQL keeps: its ``text`` is UTF-8 without U+0000. Stands after other constraints."""

Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""A time with an offset, kept in UTC."""


class Page(BaseModel, Generic[Item]):
    """A part of a list. ``next_cursor`` asks for the part after it; null on the last one."""

    items: list[Item]
    next_cursor: str | None = None
