"""Random programs of overlapping sessions end in a test as on connections of their own, or are refused.

Each program runs on PostgreSQL itself and then in a test, by the same drivers. What every step was
answered, and the rows that are there at the end, are to be equal.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg
import psycopg2
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from pgharness.errors import IsolationError
from pgharness.fixtures import Database
from tests.support.joined import Joined

DRIVERS = ("psycopg", "psycopg2", "asyncpg")
ACTIONS = {
    "insert": "INSERT INTO t VALUES ({n}) RETURNING key",
    "read": "SELECT key FROM t ORDER BY key",
    "fail": "SELECT 1 / 0",
    "begin": "BEGIN",
    "read only": "BEGIN READ ONLY",
    "commit": "COMMIT",
    "roll back": "ROLLBACK",
    "nest": "SAVEPOINT s{m}",
    "release": "RELEASE SAVEPOINT s{m}",
    "back": "ROLLBACK TO SAVEPOINT s{m}",
    "set local": "SELECT set_config('app.x', '{n}', true)",
    "set": "SET app.x = '{n}'",
    "by a function": "SELECT setx('{n}')",
    "show": "SELECT coalesce(current_setting('app.x', true), '')",
    "time zone": "SET TIME ZONE 'Asia/Tokyo'",
    "local time zone": "SET LOCAL TIME ZONE 'Europe/Rome'",
    "show time zone": "SHOW timezone",
    "copy": "COPY t FROM STDIN",
}
COMMON = ("insert", "insert", "begin", "begin", "commit", "commit", "roll back", "nest", "nest", "back")
SCHEMA = """
CREATE TABLE t (key int PRIMARY KEY);
CREATE FUNCTION setx(v text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('app.x', v, true); RETURN v; END $$;
"""
Step = tuple[int, str]
programs = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from((*ACTIONS, *COMMON))), min_size=4, max_size=25
)
slow = settings(
    max_examples=int(os.environ.get("PGHARNESS_TEST_EXAMPLES", "30")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def joined_schema() -> str:
    return SCHEMA


@pytest.fixture
def joined_options() -> dict[str, Any]:
    return {"strict": True}


class ByPsycopg:
    """A connection of psycopg 2 or 3 that says what every statement was answered."""

    def __init__(self, url: str, driver: Any) -> None:
        self.connection = driver.connect(url)
        self.connection.autocommit = True
        self.code = "pgcode" if driver is psycopg2 else "sqlstate"
        self.errors = driver.Error

    def run(self, sql: str, number: int) -> Any:
        cursor = self.connection.cursor()
        try:
            if not sql.startswith("COPY"):
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else cursor.statusmessage
            if self.errors is psycopg2.Error:
                cursor.copy_expert(sql, io.StringIO(f"{number}\n"))
            else:
                with cursor.copy(sql) as copy:
                    copy.write(f"{number}\n")
        except self.errors as error:
            return answered(error, getattr(error, self.code))
        return "copied"

    def close(self) -> None:
        self.connection.close()


class ByAsyncpg:
    """The same of asyncpg, on a loop of its own."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.connection = self.runner.run(asyncpg.connect(url))

    def run(self, sql: str, number: int) -> Any:
        async def send() -> Any:
            if sql.startswith("COPY"):
                await self.connection.copy_records_to_table("t", records=[(number,)])
                return "copied"
            if sql.startswith(("SELECT", "SHOW", "INSERT")):
                return [tuple(row) for row in await self.connection.fetch(sql)]
            return await self.connection.execute(sql)

        try:
            return self.runner.run(send())
        except asyncpg.PostgresError as error:
            return answered(error, error.sqlstate)

    def close(self) -> None:
        self.runner.run(self.connection.close())
        self.runner.close()


class RefusedError(Exception):
    """The harness has refused a statement."""


def answered(error: Exception, code: str) -> tuple[str, str]:
    if "pgharness: " in str(error):
        raise RefusedError(str(error))
    return "error", code


def connect(driver: str, url: str) -> Any:
    if driver == "asyncpg":
        return ByAsyncpg(url)
    return ByPsycopg(url, psycopg2 if driver == "psycopg2" else psycopg)


def perform(program: list[Step], drivers: list[str], url: str) -> list[Any]:
    """What the steps were answered, and the rows that stayed; what is open at the end is rolled back."""
    with contextlib.ExitStack() as opened:
        made = [opened.enter_context(contextlib.closing(connect(driver, url))) for driver in drivers]
        seen = []
        for number, (actor, action) in enumerate(program):
            sql = ACTIONS[action].format(n=number, m=number % 3)
            seen.append(made[actor].run(sql, number))
        for each in made:
            each.run("ROLLBACK", 0)
        return [*seen, made[0].run(ACTIONS["read"], 0)]


def compare(program: list[Step], drivers: list[str], joined: Joined, outside: str) -> None:
    with psycopg.connect(outside) as connection:
        connection.execute("TRUNCATE t")
    separate = perform(program, drivers, outside)
    with psycopg.connect(outside) as connection:
        connection.execute("TRUNCATE t")
    together: list[Any] | None = None
    try:
        with joined.test(), contextlib.suppress(RefusedError):
            together = perform(program, drivers, joined.url)
    except IsolationError:
        event("refused")
        return
    event("compared")
    assert together == separate


def by_one(driver: str) -> Callable[..., None]:
    @slow
    @given(program=programs)
    def test(joined: Joined, pg_empty_database: Database, program: list[Step]) -> None:
        compare(program, [driver] * 3, joined, pg_empty_database.url)

    return test


test_psycopg_sessions_end_as_separate_connections_do = by_one("psycopg")
test_psycopg2_sessions_end_as_separate_connections_do = by_one("psycopg2")
test_asyncpg_sessions_end_as_separate_connections_do = by_one("asyncpg")


@slow
@given(program=programs, drivers=st.lists(st.sampled_from(DRIVERS), min_size=3, max_size=3))
def test_sessions_of_several_drivers_do(
    joined: Joined, pg_empty_database: Database, program: list[Step], drivers: list[str]
) -> None:
    compare(program, drivers, joined, pg_empty_database.url)


def test_most_programs_are_not_refused(joined: Joined) -> None:
    """The properties above would hold of an isolation that refuses everything."""
    program: list[Step] = [
        *((actor, "begin") for actor in range(3)),
        *((0, "insert"), (1, "insert"), (0, "insert"), (1, "nest"), (1, "insert"), (2, "show")),
        *((1, "back"), (0, "commit"), (1, "commit"), (2, "insert"), (2, "commit")),
    ]

    with joined.test():
        seen = perform(program, list(DRIVERS), joined.url)

    assert seen[-1] == [(3,), (4,), (5,), (12,)]
