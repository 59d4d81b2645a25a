"""What cannot be joined, or not as separate connections would behave, is refused and says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from pgharness.fixtures import Database
from tests.support.joined import ONE, Joined, open_transaction, refused, select_one

NOT_OFFERED = " is not available on a connection that has joined a test's transaction."
BELONGS = "and the test's transaction belongs to"


@contextlib.contextmanager
def left_open(joined: Joined, name: str) -> Iterator[None]:
    """A test that leaves a transaction open, and fails for it."""
    with refused(f"{name}: a transaction is still open as the test ends."), joined.test(name):
        yield


# -- engines that cannot join -------------------------------------------------------------------------


def test_a_second_role(joined: Joined, pg_empty_database: Database) -> None:
    url = make_url(pg_empty_database.psycopg_url)
    other = create_engine(url.set(username="reader", password="x"), poolclass=NullPool)
    owner = url.username

    with (
        joined.test(),
        refused(f"test_x: an engine connected as 'reader' at HERE, {BELONGS} {owner!r}."),
    ):
        other.connect()


def test_another_driver(joined: Joined, pg_empty_database: Database) -> None:
    url = make_url(pg_empty_database.psycopg_url).set(drivername="postgresql+psycopg2")

    other = create_engine(url, poolclass=NullPool)

    with (
        joined.test(),
        refused("test_x: an engine on the driver 'psycopg2' connected to the test database at HERE."),
    ):
        other.connect()


async def test_two_drivers_in_one_test(joined: Joined, engine: Engine, async_engine: AsyncEngine) -> None:
    with joined.test():
        async with async_engine.connect() as connection:
            await connection.execute(ONE)
        with refused(
            "test_x: an engine on psycopg connected at HERE, and the test's transaction is on asyncpg."
        ):
            engine.connect()
    with joined.test("test_y"):
        engine.connect().close()
        with refused(
            "test_y: an engine on asyncpg connected at HERE, and the test's transaction is on psycopg."
        ):
            await async_engine.connect().start()


def test_an_engine_with_a_creator_of_its_own(joined: Joined, pg_empty_database: Database) -> None:
    url = pg_empty_database.url
    made: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        made.append(psycopg.connect(url))
        return made[-1]

    other = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)

    with (
        joined.test(),
        refused("test_x: an engine with a creator of its own connected to the test database at HERE."),
    ):
        other.connect()
    for connection in made:
        connection.close()


def test_an_engine_on_another_database_is_not_touched(joined: Joined, pg_empty_database: Database) -> None:
    url = make_url(pg_empty_database.psycopg_url).set(database="postgres")
    other = create_engine(url, poolclass=NullPool)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    creator = create_engine(
        "postgresql+psycopg://", creator=lambda: psycopg.connect(plain), poolclass=NullPool
    )

    with joined.test():
        for each in (other, creator):
            with each.connect() as connection:
                assert connection.execute(text("SELECT current_database()")).scalar() == "postgres"


def test_outside_a_test(joined: Joined, engine: Engine) -> None:
    joined.engines.isolation = None

    with refused("the test database was reached at HERE while no test was running."):
        engine.connect()
    joined.engines.outsider = "test_x"
    with refused("test_x reached the test database at HERE without asking for it."):
        engine.connect()


def test_a_pool_of_a_test_that_has_ended_is_refused_outside_one(
    joined: Joined, pg_empty_database: Database
) -> None:
    pooled = create_engine(pg_empty_database.psycopg_url)
    with joined.test(), pooled.connect() as connection:
        connection.execute(ONE)
    joined.engines.isolation = None

    with refused("the test database was reached at HERE while no test was running."):
        pooled.connect()
    joined.engines.isolation = "database"
    with pooled.connect() as connection:
        assert not hasattr(connection.connection.driver_connection, "settings")  # a real one
    pooled.dispose()


# -- what outlives its test -----------------------------------------------------------------------------


def test_psycopg_goes_on_in_the_next_test(joined: Joined, engine: Engine) -> None:
    with left_open(joined, "test_one"):
        kept = engine.connect()
        kept.execute(ONE)
    with joined.test("test_two"):
        with refused(
            "test_two: a connection goes on with the transaction begun at HERE in test_one, which has ended."
        ):
            kept.execute(ONE)
        kept.close()


def test_asyncpg_goes_on_in_the_next_test(
    joined: Joined, async_engine: AsyncEngine, loop: asyncio.Runner
) -> None:
    earlier = "a connection goes on with the transaction begun at HERE in test_one, which has ended."
    with left_open(joined, "test_one"):
        executing, committing = (loop.run(open_transaction(async_engine)) for _ in range(2))
    with joined.test("test_two"):
        with refused(f"test_two: {earlier}"):
            loop.run(executing.execute(ONE))
        with refused(f"test_two: {earlier}"):
            loop.run(committing.commit())
        loop.run(executing.close())
        loop.run(committing.close())


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


# -- the driver's own interface --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pipeline", "notifies"])
def test_psycopg_methods_of_the_physical_connection(joined: Joined, engine: Engine, name: str) -> None:
    with joined.test(), engine.connect() as connection:
        method = getattr(connection.connection.driver_connection, name)

        with refused(f"psycopg.Connection.{name}{NOT_OFFERED}"):
            method()


async def test_asyncpg_methods_of_the_physical_connection(joined: Joined, async_engine: AsyncEngine) -> None:
    with joined.test():
        async with async_engine.connect() as connection:
            raw: Any = (await connection.get_raw_connection()).driver_connection

            assert not hasattr(raw, "nonsense")
            with refused(f"asyncpg.Connection.query_logger{NOT_OFFERED}"):
                raw.query_logger(print)
            with refused("test_x: 'LISTEN news' was sent as SQL at HERE."):
                await raw.add_listener("news", print)
            await raw.remove_listener("news", print)


@pytest.mark.parametrize("sql", ["COMMIT", "BEGIN", "ROLLBACK", "PREPARE TRANSACTION 'x'", "LISTEN news"])
def test_psycopg_transaction_control_as_sql(joined: Joined, engine: Engine, sql: str) -> None:
    with joined.test(), engine.connect() as connection, refused(f"test_x: {sql!r} was sent as SQL at HERE."):
        connection.execute(text(sql))


@pytest.mark.parametrize("sql", ["COMMIT", "BEGIN", "ROLLBACK", "PREPARE TRANSACTION 'x'", "LISTEN news"])
async def test_asyncpg_transaction_control_as_sql(
    joined: Joined, async_engine: AsyncEngine, sql: str
) -> None:
    with joined.test():
        async with async_engine.connect() as connection:
            await connection.execute(ONE)
            with refused(f"test_x: {sql!r} was sent as SQL at HERE."):
                await connection.execute(text(sql))


# -- the server ---------------------------------------------------------------------------------------------

BUILD = "CREATE INDEX CONCURRENTLY i ON t (x)"
NOT_INSIDE = (
    "test_x: PostgreSQL refused a statement inside the test's transaction: "
    "CREATE INDEX CONCURRENTLY cannot run inside a transaction block"
)


def test_psycopg_a_statement_that_no_transaction_may_hold(joined: Joined, engine: Engine) -> None:
    outside = engine.execution_options(isolation_level="AUTOCOMMIT")
    with joined.test(), outside.connect() as connection:
        connection.execute(text("CREATE TABLE t (x int)"))
        with refused(NOT_INSIDE):
            connection.execute(text(BUILD))


async def test_asyncpg_a_statement_that_no_transaction_may_hold(
    joined: Joined, async_engine: AsyncEngine
) -> None:
    outside = async_engine.execution_options(isolation_level="AUTOCOMMIT")
    with joined.test():
        async with outside.connect() as connection:
            await connection.execute(text("CREATE TABLE t (x int)"))
            with refused(NOT_INSIDE):
                await connection.execute(text(BUILD))
