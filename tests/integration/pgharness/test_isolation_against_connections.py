"""Random programs of overlapping sessions: joined engines end as separate connections do, or say why not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from pgharness.errors import IsolationError
from tests.support.joined import Joined

ACTORS = 3
ACTIONS = ("insert", "insert", "read", "fail", "commit", "rollback", "nest", "release", "back")
programs = st.lists(st.tuples(st.integers(0, ACTORS - 1), st.sampled_from(ACTIONS)), max_size=25)
Step = tuple[int, str]
slow = settings(
    max_examples=int(os.environ.get("PGHARNESS_TEST_EXAMPLES", "30")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Outcome:
    """What a program came to: which steps failed, and the keys that stayed."""

    def __init__(self) -> None:
        self.failed: list[int] = []
        self.keys: list[int] = []
        self.refused: IsolationError | None = None


def perform(connection: Any, action: str, number: int, nested: list[Any]) -> None:
    """One step of a program on a synchronous SQLAlchemy connection."""
    if action == "insert":
        connection.execute(text("INSERT INTO t VALUES (:key)"), {"key": number})
    elif action == "read":
        connection.execute(text("SELECT count(*) FROM t")).all()
    elif action == "fail":
        connection.execute(text("SELECT 1 / 0")).all()
    elif action == "nest":
        nested.append(connection.begin_nested())
    elif action in ("release", "back"):
        if nested:
            savepoint = nested.pop()
            savepoint.commit() if action == "release" else savepoint.rollback()
    else:
        nested.clear()
        connection.commit() if action == "commit" else connection.rollback()


def run(program: list[Step], connect: Callable[[], Any]) -> Outcome:
    """Perform ``program``; what is open at its end is rolled back."""
    outcome = Outcome()
    connections = [connect() for _ in range(ACTORS)]
    nested: list[list[Any]] = [[] for _ in range(ACTORS)]
    try:
        for number, (actor, action) in enumerate(program):
            try:
                perform(connections[actor], action, number, nested[actor])
            except (DBAPIError, PendingRollbackError) as error:
                cause = getattr(error, "orig", None)
                if isinstance(cause, IsolationError):
                    raise cause from None
                outcome.failed.append(number)
        for connection in connections:
            connection.rollback()
        outcome.keys = connections[0].execute(text("SELECT key FROM t ORDER BY key")).scalars().all()
    except IsolationError as error:
        outcome.refused = error
    finally:
        for connection in connections:
            connection.close()
    return outcome


def compare(program: list[Step], run_once: Callable[[list[Step]], Outcome], joined: Joined) -> None:
    separate = run_once(program)
    with_clean_table(joined)
    try:
        with joined.test():
            together = run_once(program)
    except IsolationError:
        event("refused")
        return
    event("refused" if together.refused else "compared")
    if together.refused is None:
        assert (together.failed, together.keys) == (separate.failed, separate.keys)


def with_clean_table(joined: Joined) -> None:
    engine = create_engine(url_of(joined, "psycopg"), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS t (key int PRIMARY KEY)"))
        connection.execute(text("TRUNCATE t"))


def url_of(joined: Joined, driver: str) -> str:
    target = joined.rollback.target
    return (
        f"postgresql+{driver}://{target.user}:{target.password}@{target.host}:{target.port}/{target.database}"
    )


@slow
@given(program=programs)
def test_psycopg_sessions_end_as_separate_connections_do(joined: Joined, program: list[Step]) -> None:
    with_clean_table(joined)
    engine = create_engine(url_of(joined, "psycopg"), poolclass=NullPool)
    compare(program, lambda steps: run(steps, engine.connect), joined)


@slow
@given(program=programs)
def test_asyncpg_sessions_end_as_separate_connections_do(joined: Joined, program: list[Step]) -> None:
    with_clean_table(joined)
    engine = create_async_engine(url_of(joined, "asyncpg"), poolclass=NullPool)

    def run_once(steps: list[Step]) -> Outcome:
        async def go() -> Outcome:
            async with engine.connect() as outer:  # run_sync gives the greenlet that the others share
                outcome: Outcome = await outer.run_sync(lambda _: run(steps, engine.sync_engine.connect))
                return outcome

        return asyncio.run(go())

    compare(program, run_once, joined)


def test_most_programs_are_not_refused(joined: Joined) -> None:
    """The property above would hold of an isolation that refuses everything."""
    engine = create_engine(url_of(joined, "psycopg"), poolclass=NullPool)
    program: list[Step] = [
        (0, "insert"), (1, "insert"), (0, "insert"), (1, "nest"), (1, "insert"), (2, "read"),
        (1, "back"), (0, "commit"), (1, "commit"), (2, "insert"), (2, "rollback"),
    ]  # fmt: skip
    with_clean_table(joined)

    with joined.test():
        outcome = run(program, engine.connect)

    assert (outcome.refused, outcome.failed, outcome.keys) == (None, [], [0, 1, 2])
