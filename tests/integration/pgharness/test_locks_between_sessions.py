"""Locks of two sessions of a test do not exclude each other, for they share a connection: a test is told."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.errors import IsolationError
from tests.support.joined import ERRORS, Joined

BEGUN = r"the transaction begun at .* in \w+"
ROWS = "SELECT id FROM jobs ORDER BY id LIMIT 1 FOR UPDATE"
SKIPS = [ROWS + " SKIP LOCKED", ROWS + " NOWAIT", ROWS.replace("UPDATE", "NO KEY UPDATE OF jobs SKIP LOCKED")]
TRIES = ["SELECT pg_try_advisory_xact_lock(1)", "SELECT pg_try_advisory_lock(1)"]


@pytest.fixture
def joined_schema() -> str:
    return "CREATE TABLE jobs (id int); CREATE TABLE users (id int); INSERT INTO jobs VALUES (1), (2)"


@pytest.fixture
def joined_options() -> dict[str, Any]:
    return {"strict": True}


@contextlib.contextmanager
def refused(joined: Joined, sentence: str) -> Iterator[None]:
    """A test that fails with ``sentence``, be it that the app swallows what PostgreSQL has answered."""
    with pytest.raises(IsolationError) as raised, joined.test(), contextlib.suppress(*ERRORS):
        yield
    assert re.match(sentence, raised.value.failed), raised.value.failed


def both(engine: Engine, first: str, second: str) -> None:
    with engine.connect() as one, engine.connect() as other:
        one.execute(text(first))
        other.execute(text(second))
        other.rollback()


@pytest.mark.parametrize("statement", SKIPS)
def test_rows_that_another_has_locked_cannot_be_skipped(
    joined: Joined, engine: Engine, statement: str
) -> None:
    sentence = f"test_x: {BEGUN} tries to lock rows of jobs, where the one begun at .* has taken its lock."
    with refused(joined, sentence):
        both(engine, ROWS, statement)


@pytest.mark.parametrize("statement", TRIES)
def test_an_advisory_lock_that_another_has(joined: Joined, engine: Engine, statement: str) -> None:
    sentence = f"test_x: {BEGUN} tries to lock an advisory lock, where"
    with refused(joined, sentence):
        both(engine, "SELECT pg_advisory_xact_lock(1)", statement)


async def test_asyncpg(joined: Joined, async_engine: AsyncEngine) -> None:
    with refused(joined, f"test_x: {BEGUN} tries to lock rows of jobs"):
        async with async_engine.connect() as one, async_engine.connect() as other:
            await one.execute(text(SKIPS[0]))
            with contextlib.suppress(DBAPIError):  # as an app may
                await other.execute(text(SKIPS[0]))
            await other.rollback()


def test_a_lock_of_the_session_outlasts_its_transaction(joined: Joined, engine: Engine) -> None:
    sentence = f"test_x: {BEGUN} tries to lock an advisory lock,"
    with refused(joined, sentence), engine.connect() as leader, engine.connect() as other:
        leader.execute(text("SELECT pg_advisory_lock(1)"))
        leader.commit()
        leader.execute(text("SELECT pg_try_advisory_lock(1)"))  # its own: it has it twice
        leader.execute(text("SELECT pg_advisory_unlock_all()"))
        leader.commit()
        other.execute(text("SELECT pg_try_advisory_lock(1)"))
        other.execute(text("SELECT pg_advisory_unlock(1)"))
        other.commit()
        leader.execute(text("SELECT pg_advisory_lock(1)"))
        leader.commit()
        other.execute(text("SELECT pg_try_advisory_lock(1)"))


def test_one_after_the_other_is_no_matter(joined: Joined, engine: Engine) -> None:
    with joined.test():
        for _ in range(2):
            with engine.begin() as connection:
                connection.execute(text(SKIPS[0]))
                connection.execute(text(TRIES[0]))


def test_neither_is_another_table_or_a_plain_read(joined: Joined, engine: Engine) -> None:
    with joined.test():
        both(engine, ROWS, "SELECT id FROM users FOR UPDATE SKIP LOCKED")
        both(engine, ROWS, "SELECT id FROM jobs")


def test_a_wait_that_does_not_happen(joined: Joined, engine: Engine) -> None:
    with refused(joined, f"test_x: {BEGUN} locks rows of jobs, where the one begun at"):
        both(engine, ROWS, ROWS)


# -- notifications ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("notify", ["NOTIFY jobs", "SELECT pg_notify('jobs', '1')"])
async def test_a_notification_that_nobody_gets(
    joined: Joined, async_engine: AsyncEngine, notify: str
) -> None:
    sentence = r"test_x: the NOTIFY sent at .* does not reach the connection that began to listen at "
    with refused(joined, sentence):
        async with async_engine.begin() as app:
            await app.execute(text(notify))  # nobody listens
        listener = await asyncpg.connect(joined.url)
        try:
            await listener.add_listener("jobs", lambda *_: None)
            async with async_engine.begin() as app:
                await app.execute(text(notify))
        finally:
            await listener.close()
