"""Deferred constraints are checked when the app commits, as on a connection of its own.

Each program commits and lists what it saw; joined and on real connections the lists are to be equal.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from pgharness.errors import IsolationError
from pgharness.fixtures import Database
from pgharness.server.base import Address
from tests.support.joined import Joined

Seen = list[Any]
SCHEMA = """
CREATE TABLE parent (id int PRIMARY KEY, note text);
CREATE TABLE child (
    id int PRIMARY KEY,
    parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED,
    position int UNIQUE DEFERRABLE INITIALLY IMMEDIATE
);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN UPDATE parent SET note = 'triggered' WHERE id = new.id; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER noting AFTER INSERT ON parent DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION note();
"""
ORPHAN = text("INSERT INTO child VALUES (:id, 404, :id)")
COUNT = text("SELECT count(*) FROM child")


@pytest.fixture
def joined_schema() -> str:
    return SCHEMA


def outcome(call: Callable[[], Any]) -> str:
    try:
        call()
    except DBAPIError as error:
        return f"{type(error).__name__} {type(error.orig).__name__}"
    except psycopg.Error as error:
        return type(error).__name__
    return "done"


async def async_outcome(awaitable: Awaitable[Any]) -> str:
    try:
        await awaitable
    except DBAPIError as error:
        return type(error).__name__
    except asyncpg.PostgresError as error:
        return type(error).__name__
    return "done"


def commits(engine: Engine) -> Seen:
    seen: Seen = []
    with engine.connect() as connection:
        connection.execute(ORPHAN, {"id": 1})
        seen += [outcome(connection.commit)]
        connection.rollback()
        connection.execute(text("INSERT INTO child VALUES (2, 7, 2)"))
        connection.execute(text("INSERT INTO parent VALUES (7)"))
        seen += [outcome(connection.commit), connection.execute(COUNT).scalar()]
        seen += [connection.execute(text("SELECT note FROM parent")).scalar()]
        connection.commit()
        with connection.begin_nested():
            connection.execute(ORPHAN, {"id": 3})
        seen += [connection.execute(COUNT).scalar(), outcome(connection.commit)]
        connection.rollback()
        connection.execute(text("SET CONSTRAINTS ALL DEFERRED"))
        connection.execute(text("INSERT INTO child VALUES (4, 7, 2)"))
        connection.execute(text("UPDATE child SET position = 3 WHERE id = 2"))
        seen += [outcome(connection.commit)]
        insert = text("INSERT INTO child VALUES (5, 7, 2)")  # checked at once again
        seen += [outcome(lambda: connection.execute(insert))]
        connection.rollback()
        return [*seen, connection.execute(COUNT).scalar()]


def autocommits(engine: Engine) -> Seen:
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        seen: Seen = [outcome(lambda: connection.execute(ORPHAN, {"id": 1}))]
        seen += [connection.execute(COUNT).scalar()]
        raw: Any = connection.connection.driver_connection

        def block() -> None:
            with raw.transaction():
                raw.execute("INSERT INTO child VALUES (4, 404, 4)")

        seen += [outcome(block)]
        raw.execute("BEGIN")
        raw.execute("INSERT INTO child VALUES (5, 404, 5)")
        seen += [outcome(lambda: raw.execute("COMMIT"))]
        return [*seen, connection.execute(COUNT).scalar()]


@pytest.mark.parametrize("program", [commits, autocommits])
def test_psycopg(joined: Joined, engine: Engine, beside: Engine, program: Callable[[Engine], Seen]) -> None:
    with joined.test():
        seen = program(engine)

    assert seen == program(beside)


async def async_commits(engine: AsyncEngine) -> Seen:
    seen: Seen = []
    async with engine.connect() as connection:
        await connection.execute(ORPHAN, {"id": 1})
        seen += [await async_outcome(connection.commit())]
        await connection.rollback()
        await connection.execute(text("INSERT INTO child VALUES (2, 7, 2)"))
        await connection.execute(text("INSERT INTO parent VALUES (7)"))
        seen += [await async_outcome(connection.commit()), (await connection.execute(COUNT)).scalar()]
        seen += [(await connection.execute(text("SELECT note FROM parent"))).scalar()]
        await connection.commit()
        await connection.execute(text("CREATE TABLE late (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)"))
        await connection.execute(text("INSERT INTO late VALUES (1), (1)"))
        seen += [await async_outcome(connection.commit())]
        await connection.rollback()
        return [*seen, (await connection.execute(COUNT)).scalar()]


async def async_by_hand(engine: AsyncEngine) -> Seen:
    async with engine.connect() as connection:
        raw: Any = (await connection.get_raw_connection()).driver_connection
        seen: Seen = [await async_outcome(raw.execute("INSERT INTO child VALUES (1, 404, 1)"))]
        await raw.execute("BEGIN")
        await raw.execute("INSERT INTO child VALUES (2, 404, 2)")
        seen += [await async_outcome(raw.execute("COMMIT"))]

        async def block() -> None:
            async with raw.transaction():
                await raw.execute("INSERT INTO child VALUES (3, 404, 3)")

        return [*seen, await async_outcome(block()), await raw.fetchval("SELECT count(*) FROM child")]


@pytest.mark.parametrize("program", [async_commits, async_by_hand])
async def test_asyncpg(
    joined: Joined,
    async_engine: AsyncEngine,
    async_beside: AsyncEngine,
    program: Callable[[AsyncEngine], Awaitable[Seen]],
) -> None:
    with joined.test():
        seen = await program(async_engine)

    assert seen == await program(async_beside)


def test_rows_of_another_open_transaction_may_be_the_reason(joined: Joined, engine: Engine) -> None:
    def overlap() -> None:
        with joined.test(), engine.connect() as one, engine.connect() as other:
            other.execute(ORPHAN, {"id": 1})
            one.execute(text("INSERT INTO parent VALUES (1)"))
            with contextlib.suppress(DBAPIError):  # swallowed, and the test fails all the same
                one.commit()

    with pytest.raises(IsolationError) as raised:
        overlap()

    assert re.fullmatch(
        r"test_x: at the commit of the transaction begun at tests/integration/pgharness/"
        r"test_deferred_constraints\.py:\d+ in overlap "
        r'a deferred constraint failed, and others had written: insert or update on table "child" violates '
        r'foreign key constraint "child_parent_fkey".*',
        raised.value.failed,
        re.DOTALL,
    )


def test_where_no_constraint_can_wait_a_commit_sends_nothing(
    server_address: Address, pg_empty_database: Database, administrator: Engine
) -> None:
    last = text("SELECT query FROM pg_stat_activity WHERE datname = current_database() AND state = :state")
    joined = Joined(server_address, pg_empty_database.name)
    engine = create_engine(joined.psycopg_url, poolclass=NullPool)
    with joined.test(), engine.connect() as connection:
        connection.execute(text("CREATE TABLE plain (id int)"))
        connection.execute(text("INSERT INTO plain VALUES (1)"))
        connection.commit()
        with administrator.connect() as watcher:
            found = watcher.execute(last, {"state": "idle in transaction"}).scalar()
    joined.close()

    assert found == "INSERT INTO plain VALUES (1)"


LATE = "(x int UNIQUE DEFERRABLE INITIALLY DEFERRED)"


def test_a_constraint_that_a_test_has_made_is_checked_at_a_later_commit(
    joined: Joined, engine: Engine
) -> None:
    with joined.test():
        with engine.begin() as connection:
            connection.execute(text(f"CREATE TABLE late {LATE}"))
        with engine.connect() as connection:
            connection.execute(text("INSERT INTO late VALUES (1), (1)"))
            with pytest.raises(IntegrityError):
                connection.commit()


def test_a_constraint_that_is_made_after_one_was_checked_waits_for_the_commit(
    joined: Joined, engine: Engine
) -> None:
    with joined.test():
        with engine.begin() as connection:
            connection.execute(text(f"CREATE TABLE late {LATE}"))
        with engine.begin() as connection:
            connection.execute(text(f"CREATE TABLE later {LATE}"))
            connection.execute(text("INSERT INTO later VALUES (1), (1)"))
            connection.execute(text("DELETE FROM later"))
