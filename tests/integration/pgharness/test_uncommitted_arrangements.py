"""A session that reads what another has not committed sees in a test what it would not in production."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.errors import IsolationError
from tests.support.joined import Joined, message_of

READS = (
    r"test_x: the transaction begun at .* in \w+ reads users, where the one begun at .* in \w+ has rows that"
)
INSERT = text("INSERT INTO users VALUES (1)")
COUNT = text("SELECT count(*) FROM users")


@pytest.fixture
def joined_schema() -> str:
    return "CREATE TABLE users (id int); CREATE TABLE orders (id int)"


@pytest.fixture
def joined_options() -> dict[str, Any]:
    return {"strict": True}


def flush_then_ask(joined: Joined, engine: Engine) -> list[Any]:
    seen: list[Any] = []
    with joined.test(), engine.connect() as arranging, engine.connect() as app:
        arranging.execute(INSERT)
        seen += [arranging.execute(COUNT).scalar()]
        for _ in range(2):
            try:
                seen += [app.execute(COUNT).scalar()]
            except DBAPIError as error:
                seen += [message_of(error)]
            app.rollback()
    return seen


def test_the_reading_statement_is_refused(joined: Joined, engine: Engine) -> None:
    with pytest.raises(IsolationError, match=READS):  # swallowed, and the test fails all the same
        flush_then_ask(joined, engine)


async def test_asyncpg_is_refused_as_well(joined: Joined, async_engine: AsyncEngine) -> None:
    async def flush_then_ask() -> None:
        async with async_engine.connect() as arranging, async_engine.connect() as app:
            await arranging.execute(INSERT)
            with pytest.raises(DBAPIError, match=READS):
                await app.execute(COUNT)

    with pytest.raises(IsolationError, match=READS), joined.test():
        await flush_then_ask()


async def test_what_production_would_show_is_no_matter(joined: Joined, async_engine: AsyncEngine) -> None:
    with joined.test():
        async with async_engine.connect() as arranging, async_engine.connect() as app:
            await arranging.execute(INSERT)
            await app.execute(text("SELECT count(*) FROM orders"))  # another table
            await app.rollback()
            await arranging.commit()
            await app.execute(COUNT)  # committed
            await app.rollback()
            await arranging.execute(INSERT)
            await arranging.rollback()
            assert (await app.execute(COUNT)).scalar() == 1  # undone
