"""Types that the schemas of more than one feature use."""

import re
from datetime import UTC, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator

Item = TypeVar("Item")

RFC_3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}", re.ASCII)
"""How a time begins; pydantic reads the rest."""


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


def _written_out(value: object) -> object:
    """Pydantic would take a number, or a text of digits, for the seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and RFC_3339.match(value)):
        return value
    raise ValueError("must be a time as RFC 3339 writes it, such as 2026-03-01T12:00:00Z")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be between the years 1 and 9999 in UTC") from None


Storable = AfterValidator(_storable)
"""For strings that PostgreSQL keeps: its ``text`` is UTF-8 without U+0000. Stands after other constraints."""

Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]
"""A time with an offset, kept in UTC."""


class Page(BaseModel, Generic[Item]):
    """A part of a list. ``next_cursor`` asks for the part after it; null on the last one."""

    items: list[Item]
    next_cursor: str | None = None
