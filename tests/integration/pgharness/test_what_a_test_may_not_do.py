"""What one transaction cannot show as separate connections would is refused by PostgreSQL's own error."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.joined import ONE, Joined, leaving, open_transaction, refused, select_one

INSERT = text("INSERT INTO kept VALUES (1)")


@pytest.fixture
def joined_schema() -> str:
    return "CREATE TABLE kept (x int)"


@contextlib.contextmanager
def left_open(joined: Joined, name: str) -> Iterator[None]:
    """A test that leaves a transaction open, and fails for it."""
    sentence = f"{name}: a transaction is still open as the test ends."
    with leaving(joined, sentence, "begun at HERE", name=name):
        yield


def test_the_app_is_answered_as_by_postgresql(joined: Joined, engine: Engine) -> None:
    sentence = "test_x: a connection goes on with the transaction begun at HERE in test_one, which has ended."
    with left_open(joined, "test_one"):
        kept = engine.connect()
        kept.execute(ONE)
    with leaving(joined, sentence):
        with pytest.raises(DBAPIError) as raised:
            kept.execute(ONE)
        kept.close()

    diagnostic = raised.value.orig.diag  # type: ignore[union-attr]  # psycopg's
    assert (diagnostic.sqlstate, diagnostic.severity) == ("0A000", "ERROR")
    assert diagnostic.message_primary.startswith("pgharness: test_x: a connection goes on with")
    assert diagnostic.message_detail.startswith("A session or a background task has outlived its test;")
    assert diagnostic.message_hint == "close the session, or await the task, before the test ends"


# -- outside a test ---------------------------------------------------------------------------------------


def test_between_tests_reads_pass_and_writes_do_not(joined: Joined, engine: Engine) -> None:
    with joined.test():
        pass
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM kept")).scalar() == 0
        with refused("the test database was written to at HERE while no test was running."):
            connection.execute(INSERT)
        connection.rollback()
        assert connection.execute(ONE).scalar() == 1


def test_a_test_that_is_not_isolated_gets_nothing(joined: Joined, engine: Engine) -> None:
    joined.worker.refuse("test_x")

    for statement in (ONE, INSERT):
        with (
            refused("test_x reached the test database at HERE and is not isolated."),
            engine.connect() as connection,
        ):
            connection.execute(statement)


def test_a_pool_of_a_test_that_has_ended_serves_the_next(joined: Joined) -> None:
    pooled = create_engine(joined.psycopg_url)
    for name in ("test_one", "test_two"):
        with joined.test(name), pooled.begin() as connection:
            connection.execute(INSERT)
            assert connection.execute(text("SELECT count(*) FROM kept")).scalar() == 1
    pooled.dispose()


# -- what outlives its test -----------------------------------------------------------------------------


def test_psycopg_goes_on_in_the_next_test(joined: Joined, engine: Engine) -> None:
    sentence = (
        "test_two: a connection goes on with the transaction begun at HERE in test_one, which has ended."
    )
    with left_open(joined, "test_one"):
        kept = engine.connect()
        kept.execute(ONE)
    with leaving(joined, sentence, name="test_two"):
        with refused(sentence):
            kept.execute(ONE)
        kept.rollback()
        assert kept.execute(ONE).scalar() == 1
        kept.close()


def test_asyncpg_goes_on_in_the_next_test(
    joined: Joined, async_engine: AsyncEngine, loop: asyncio.Runner
) -> None:
    sentence = (
        "test_two: a connection goes on with the transaction begun at HERE in test_one, which has ended."
    )
    with left_open(joined, "test_one"):
        executing = loop.run(open_transaction(async_engine))
    with leaving(joined, sentence, name="test_two"):
        with refused(sentence):
            loop.run(executing.execute(ONE))
        loop.run(executing.close())


def test_psycopg_closed_after_its_test_says_nothing(joined: Joined, engine: Engine) -> None:
    with left_open(joined, "test_one"):
        kept = engine.connect()
        kept.execute(ONE)

    kept.close()

    with joined.test("test_two"), engine.connect() as connection:
        assert connection.execute(ONE).scalar() == 1


def test_asyncpg_closed_after_its_test_says_nothing(
    joined: Joined, async_engine: AsyncEngine, loop: asyncio.Runner
) -> None:
    with left_open(joined, "test_one"):
        kept = loop.run(open_transaction(async_engine))

    loop.run(kept.close())

    with joined.test("test_two"):
        assert loop.run(select_one(async_engine)) == 1


# -- the server -------------------------------------------------------------------------------------------

BUILD = "CREATE INDEX CONCURRENTLY i ON t (x)"
NOT_INSIDE = (
    "test_x: PostgreSQL refused a statement inside the test's transaction: "
    "CREATE INDEX CONCURRENTLY cannot run inside a transaction block"
)


def test_psycopg_a_statement_that_no_transaction_may_hold(joined: Joined, engine: Engine) -> None:
    outside = engine.execution_options(isolation_level="AUTOCOMMIT")
    with leaving(joined, NOT_INSIDE), outside.connect() as connection:
        connection.execute(text("CREATE TABLE t (x int)"))
        with refused(NOT_INSIDE):
            connection.execute(text(BUILD))


async def test_asyncpg_a_statement_that_no_transaction_may_hold(
    joined: Joined, async_engine: AsyncEngine
) -> None:
    outside = async_engine.execution_options(isolation_level="AUTOCOMMIT")
    with leaving(joined, NOT_INSIDE):
        async with outside.connect() as connection:
            await connection.execute(text("CREATE TABLE t (x int)"))
            with refused(NOT_INSIDE):
                await connection.execute(text(BUILD))


def test_in_a_transaction_of_the_apps_own_it_is_postgresql_that_refuses(
    joined: Joined, engine: Engine
) -> None:
    with joined.test(), engine.connect() as connection:
        connection.execute(text("CREATE TABLE t (x int)"))
        with pytest.raises(DBAPIError, match="cannot run inside a transaction block"):
            connection.execute(text(BUILD))


TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity where pid = 0"
REFUSED: dict[str, str] = {
    "PREPARE TRANSACTION 'x'": (
        "test_x: \"PREPARE TRANSACTION 'x'\" was sent by the transaction begun at HERE."
    ),
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1": (
        "test_x: the transaction begun at HERE uses a cursor WITH HOLD."
    ),
    TERMINATE: f"test_x: {TERMINATE!r} ends connections of the server.",
}


@pytest.mark.parametrize("sql", REFUSED)
def test_what_belongs_to_one_connection_alone(joined: Joined, engine: Engine, sql: str) -> None:
    said = REFUSED[sql]
    with leaving(joined, said), engine.connect() as connection:
        connection.execute(ONE)
        with refused(said):
            connection.execute(text(sql))


def test_two_temporary_tables_of_one_name(joined: Joined, engine: Engine) -> None:
    said = "test_x: the transaction begun at HERE uses scratch, a temporary table of another connection."
    create = text("CREATE TEMP TABLE scratch (x int)")
    with leaving(joined, said), engine.connect() as one, engine.connect() as other:
        one.execute(create)
        with refused(said):
            other.execute(create)


def test_a_large_object(joined: Joined) -> None:
    with joined.test(), psycopg.connect(joined.url) as connection:
        made: Any = connection.execute("SELECT lo_from_bytea(0, 'abc')").fetchone()
        connection.commit()
        with psycopg.connect(joined.url) as other:
            assert other.execute("SELECT lo_get(%s)", made).fetchone() == (b"abc",)
