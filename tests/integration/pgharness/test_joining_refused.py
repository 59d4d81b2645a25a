"""What cannot be joined, or not as separate connections would behave, is refused and says so."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool

from pgharness.errors import IsolationError
from pgharness.fixtures import Database
from tests.support.joined import Joined

ONE = text("SELECT 1")
HERE = r"tests/integration/pgharness/test_joining_refused\.py:\d+ in \w+"
NOT_OFFERED = " is not available on a connection that has joined a test's transaction."
BELONGS = "and the test's transaction belongs to"
TWO_LOOPS = "a second event loop asked for the database while the test's own loop is blocked or idle."


async def select_one(engine: AsyncEngine) -> object:
    async with engine.connect() as connection:
        return (await connection.execute(ONE)).scalar()


async def open_transaction(engine: AsyncEngine) -> AsyncConnection:
    connection = await engine.connect()
    await connection.execute(ONE)
    return connection


@contextlib.contextmanager
def refused(sentence: str) -> Iterator[pytest.ExceptionInfo[IsolationError]]:
    """The block raises an IsolationError whose first line is ``sentence``, in which HERE is a place."""
    with pytest.raises(IsolationError) as raised:
        yield raised
    pattern = re.escape(sentence).replace("HERE", HERE)
    assert re.fullmatch(pattern, raised.value.failed), raised.value.failed


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


LOST = "test_x: the connection that holds the test's transaction was closed by the server."


def end_connections(url: str) -> None:
    """End all connections to the database at ``url``, as an administrator would, past the harness."""
    administrator = make_url(url).set(database="postgres")
    with create_engine(administrator, poolclass=NullPool).connect() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": make_url(url).database},
        )


def test_psycopg_a_connection_that_the_server_closed(
    joined: Joined, engine: Engine, pg_empty_database: Database
) -> None:
    with joined.test():
        connection = engine.connect()
        connection.execute(ONE)
        end_connections(pg_empty_database.psycopg_url)
        with pytest.raises(OperationalError):
            connection.execute(ONE)
        with refused(LOST):
            engine.connect()
        connection.close()
    with joined.test(), engine.connect() as connection:
        assert connection.execute(ONE).scalar() == 1


@pytest.mark.parametrize("on", ["the harness's loop", "the tests' loop"])
def test_asyncpg_a_connection_that_the_server_closed(
    joined: Joined,
    async_engine: AsyncEngine,
    pg_empty_database: Database,
    loop: asyncio.Runner,
    on: str,
) -> None:
    if on == "the tests' loop":
        with joined.test():
            loop.run(select_one(async_engine))
    with joined.test():
        connection = loop.run(open_transaction(async_engine))
        end_connections(pg_empty_database.psycopg_url)
        loop.run(asyncio.sleep(0.1))
        with refused(LOST):
            loop.run(connection.execute(ONE))
        loop.run(connection.close())
    with joined.test():
        assert loop.run(select_one(async_engine)) == 1


# -- loops and threads ----------------------------------------------------------------------------------


def test_a_client_on_another_loop(
    pg_empty_database: Database, async_engine: AsyncEngine, loop: asyncio.Runner
) -> None:
    joined = Joined(pg_empty_database.url, lock_timeout=0.3)

    async def blocked() -> object:
        """Block this loop until another has asked, as a synchronous client in an async test does."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(select_one(async_engine))).result()

    async def free() -> object:
        return await asyncio.to_thread(lambda: asyncio.run(select_one(async_engine)))

    try:
        with joined.test("test_one"):
            assert loop.run(select_one(async_engine)) == 1
            assert loop.run(blocked()) == 1  # on the harness's own loop: this one is not known yet
        with joined.test("test_two"):
            assert loop.run(select_one(async_engine)) == 1
            assert loop.run(free()) == 1
            with refused(f"test_two: {TWO_LOOPS}"):
                loop.run(blocked())
            with refused(f"test_two: {TWO_LOOPS}"):
                asyncio.run(select_one(async_engine))
    finally:
        joined.close()


def waited(statement: str) -> str:
    sessions = "the session of HERE waited 0.2 s for the one of HERE"
    return f"test_x: {sessions}, whose statement has not ended: {statement!r}."


def test_psycopg_a_statement_that_waits_too_long_for_another(
    engine: Engine, pg_empty_database: Database
) -> None:
    joined = Joined(pg_empty_database.url, lock_timeout=0.2)
    try:
        with joined.test(), engine.connect() as one, engine.connect() as other:
            one.execute(ONE)
            other.execute(ONE)
            lock: Any = one.connection.driver_connection.lock  # type: ignore[union-attr]  # there is one
            with lock, refused(waited("SELECT 1")):
                other.execute(ONE)
    finally:
        joined.close()


async def test_asyncpg_a_statement_that_waits_too_long_for_another(
    async_engine: AsyncEngine, pg_empty_database: Database
) -> None:
    joined = Joined(pg_empty_database.url, lock_timeout=0.2)
    sleep = "SELECT pg_sleep(1)"
    try:
        with joined.test():
            async with async_engine.connect() as one, async_engine.connect() as other:
                await one.execute(ONE)
                await other.execute(ONE)
                sleeping = asyncio.create_task(one.execute(text(sleep)))
                await asyncio.sleep(0.05)  # pg_sleep is on its way
                with refused(waited(sleep)):
                    await other.execute(ONE)
                await sleeping
                assert (await other.execute(ONE)).scalar() == 1
    finally:
        joined.close()


VAIN = "test_x: 'UPDATE held SET x = 2', of the session of HERE, waited 0.2 s for a lock in PostgreSQL."
UPDATE = text("UPDATE held SET x = 2")


@pytest.fixture
def held(pg_empty_database: Database) -> Iterator[str]:
    """A row that a connection past SQLAlchemy has locked; its process, as messages name it."""
    with psycopg.connect(pg_empty_database.url, application_name="batch job") as connection:
        connection.execute("CREATE TABLE held (x int)")
        connection.execute("INSERT INTO held VALUES (1)")
        connection.commit()
        connection.execute("SELECT x FROM held FOR UPDATE")
        process = connection.info.backend_pid
        yield f"in a transaction: process {process} batch job, idle in transaction for TIME s"
        connection.rollback()


def check_holder(error: IsolationError, held: str) -> None:
    [found] = error.checked
    assert (
        re.sub(r"for [\d.]+ s", "for TIME s", found)
        == f"{held}, its last statement: SELECT x FROM held FOR UPDATE"
    )


def test_psycopg_a_lock_of_a_connection_that_has_not_joined(
    engine: Engine, pg_empty_database: Database, held: str
) -> None:
    joined = Joined(pg_empty_database.url, lock_timeout=0.2)
    try:
        with joined.test(), engine.connect() as connection:
            with refused(VAIN) as raised:
                connection.execute(UPDATE)
            connection.rollback()
            connection.execute(text("SET LOCAL lock_timeout = '50ms'"))
            with pytest.raises(
                OperationalError, match="lock timeout"
            ):  # the app's own limit is its own affair
                connection.execute(UPDATE)
    finally:
        joined.close()
    check_holder(raised.value, held)


async def test_asyncpg_a_lock_of_a_connection_that_has_not_joined(
    async_engine: AsyncEngine, pg_empty_database: Database, held: str
) -> None:
    joined = Joined(pg_empty_database.url, lock_timeout=0.2)
    try:
        with joined.test():
            async with async_engine.connect() as connection:
                with refused(VAIN) as raised:
                    await connection.execute(UPDATE)
                await connection.rollback()
                assert (await connection.execute(text("SELECT x FROM held"))).scalar() == 1
    finally:
        joined.close()
    check_holder(raised.value, held)


async def test_a_cancelled_statement_fails_its_transaction_alone(
    joined: Joined, async_engine: AsyncEngine
) -> None:
    with joined.test():
        async with async_engine.connect() as one, async_engine.connect() as other:
            await one.execute(text("CREATE TABLE t (x int)"))
            await one.commit()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(other.execute(text("SELECT pg_sleep(5)")), 0.05)
            assert (await one.execute(text("SELECT count(*) FROM t"))).scalar() == 0
