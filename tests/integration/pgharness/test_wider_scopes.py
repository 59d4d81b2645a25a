"""Data made once for a module or class: each of its tests sees it, and none changes it for another."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.pgharness.conftest import MakeProject
from tests.support.joined import Joined, leaving, refused

COUNT = text("SELECT count(*) FROM made")
INSERT = text("INSERT INTO made VALUES (1)")


@pytest.fixture
def joined_schema() -> str:
    return "CREATE TABLE made (x int)"


def insert(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(INSERT)


def count(engine: Engine) -> object:
    with engine.connect() as connection:
        return connection.execute(COUNT).scalar()


async def async_insert(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(INSERT)


async def async_count(engine: AsyncEngine) -> object:
    async with engine.connect() as connection:
        return (await connection.execute(COUNT)).scalar()


def test_psycopg(joined: Joined, engine: Engine) -> None:
    with joined.test("module"):
        insert(engine)
        for _ in range(2):
            with joined.test():
                assert count(engine) == 1
                insert(engine)
                assert count(engine) == 2
        with joined.test():
            pass
        insert(engine)  # a fixture that only a later test asks for
        with joined.test("class"):
            insert(engine)
            with joined.test():
                insert(engine)
                assert count(engine) == 4
        with joined.test():
            assert count(engine) == 2
    with joined.test():
        assert count(engine) == 0


def test_asyncpg(joined: Joined, async_engine: AsyncEngine, loop: asyncio.Runner) -> None:
    with joined.test("module"):
        loop.run(async_insert(async_engine))
        for _ in range(2):
            with joined.test():
                assert loop.run(async_count(async_engine)) == 1
                loop.run(async_insert(async_engine))
                assert loop.run(async_count(async_engine)) == 2
        with joined.test():  # on a loop of its own
            assert asyncio.run(async_count(async_engine)) == 1
    with joined.test():
        assert loop.run(async_count(async_engine)) == 0


def test_a_scope_that_has_made_nothing(joined: Joined, engine: Engine) -> None:
    with joined.test("module"):
        with joined.test():
            insert(engine)
        with joined.test():
            assert count(engine) == 0


def test_settings_of_a_fixture_do_not_reach_the_tests(joined: Joined, engine: Engine) -> None:
    asked = engine.execution_options()
    with joined.test("module"):
        with asked.begin() as connection:
            connection.execute(text("SET work_mem = '1MB'"))
            connection.execute(INSERT)
        with joined.test(), engine.connect() as connection:
            assert connection.execute(text("SHOW work_mem")).scalar() == "4MB"


def test_what_is_not_committed(joined: Joined, engine: Engine) -> None:
    still_open = "test_a.py: a transaction is still open as the test ends."
    with leaving(joined, still_open, "begun at HERE", name="test_a.py"), engine.connect() as connection:
        connection.execute(INSERT)
        said = "test_x: a transaction that a fixture of test_a.py has begun is still open."
        with leaving(joined, said), refused(said):
            count(engine)


def test_a_connection_that_the_server_closes_takes_the_data_of_the_scope_along(
    joined: Joined, engine: Engine, administrator: Engine
) -> None:
    end_others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    lost = "the connection that holds the test's transaction was closed by the server."

    def end_it() -> None:
        with leaving(joined, f"test_one: {lost}", name="test_one"):
            with administrator.connect() as connection:
                connection.execute(end_others)
            with pytest.raises(DBAPIError):
                count(engine)

    gone = "the data that was made for all tests of test_a.py is gone."
    with joined.test("test_a.py"):
        insert(engine)
        end_it()
        with leaving(joined, f"test_two: {gone}", name="test_two"), refused(f"test_two: {gone}"):
            count(engine)
    with joined.test("test_three"):
        assert count(engine) == 0


PROJECT = """
import pytest, pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

COUNT = text("SELECT count(*) FROM made")

async def add(database):
    engine = create_async_engine(database.asyncpg_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS made (x int)"))
        await connection.execute(text("INSERT INTO made VALUES (1)"))
    await engine.dispose()

@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def made(pg_module):
    await add(pg_module)

@pytest_asyncio.fixture(scope="class", loop_scope="session")
async def more(made, pg_class):
    await add(pg_class)

async def one_more(session, before):
    assert (await session.execute(COUNT)).scalar() == before
    await session.execute(text("INSERT INTO made VALUES (2)"))
    await session.commit()

async def test_one(made, db_session):
    await one_more(db_session, 1)

class TestClass:
    async def test_two(self, more, db_session):
        await one_more(db_session, 2)

    async def test_three(self, more, db_session):
        await one_more(db_session, 2)

async def test_four(made, db_session):
    await one_more(db_session, 1)
"""
REAL = """
import psycopg

@pytest.fixture(scope="module")
def late(pg_module):
    with psycopg.connect(pg_module.url) as connection:
        connection.execute("INSERT INTO made VALUES (3)")

@pytest.mark.pg(isolation="database")
async def test_five(made, db_session):
    await one_more(db_session, 1)

@pytest.mark.pg(isolation="database")
async def test_six(late, db_session):
    await one_more(db_session, 2)

async def test_seven(late, db_session):
    await one_more(db_session, 2)
"""
OTHER = """
from sqlalchemy import text

async def test_other(db_session):
    assert (await db_session.execute(text("SELECT to_regclass('made')"))).scalar() is None
"""


def test_by_fixtures(project: MakeProject) -> None:
    adopter = project("tiers")
    adopter.write("tests/api/test_a.py", PROJECT)
    adopter.write("tests/api/test_b.py", OTHER)

    result = adopter.pytest("tests/api/test_a.py", "tests/api/test_b.py", "-p", "no:randomly")

    assert "5 passed" in result.output, result.output


OPTIONS = [[], ["--pg-isolation=database"], ["-n2", "--dist=loadfile"]]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_with_real_commits(project: MakeProject, options: list[str]) -> None:
    """One test with real commits has the data of its module committed, for all of them."""
    adopter = project("tiers")
    adopter.write("tests/api/test_a.py", PROJECT + REAL)
    adopter.write("tests/api/test_b.py", OTHER)

    result = adopter.pytest("tests/api/test_a.py", "tests/api/test_b.py", "-p", "no:randomly", *options)

    assert "8 passed" in result.output, result.output


IDS = """
import pytest, psycopg

pytestmark = pytest.mark.pg(isolation="database", reset_sequences=True)

@pytest.fixture(scope="module", autouse=True)
def made(pg_module):
    with psycopg.connect(pg_module.url) as connection:
        connection.execute("CREATE TABLE made (id serial)")
        connection.execute("INSERT INTO made DEFAULT VALUES")

def new_id(database):
    with psycopg.connect(database.url) as connection:
        return connection.execute("INSERT INTO made DEFAULT VALUES RETURNING id").fetchone()[0]

@pytest.mark.parametrize("n", range(2))
def test_real(pg_database, n):
    assert new_id(pg_database) == 2

@pytest.mark.pg(isolation="rollback")
@pytest.mark.parametrize("n", range(2))
def test_rolled_back(pg_database, db_session, n):
    from sqlalchemy import text
    insert = text("INSERT INTO made DEFAULT VALUES RETURNING id")
    assert db_session.execute(insert).scalar() == 2
"""


def test_ids_begin_after_those_of_committed_data(project: MakeProject) -> None:
    adopter = project("tiers")
    adopter.write("tests/api/test_a.py", IDS)

    result = adopter.pytest("tests/api/test_a.py", "-o", "pg_driver=psycopg")

    assert "4 passed" in result.output, result.output


DEFERRED = "(x int UNIQUE DEFERRABLE INITIALLY DEFERRED)"


def test_a_constraint_that_a_fixture_has_made_is_checked_at_the_commit_of_a_test(
    joined: Joined, engine: Engine
) -> None:
    with joined.test("module"):
        with engine.begin() as connection:
            connection.execute(text(f"CREATE TABLE late {DEFERRED}"))
        with joined.test(), engine.connect() as connection:
            connection.execute(text("INSERT INTO late VALUES (1), (1)"))
            with pytest.raises(IntegrityError):
                connection.commit()


def test_a_constraint_that_a_test_makes_after_one_was_checked_waits_for_the_commit(
    joined: Joined, engine: Engine
) -> None:
    with joined.test("module"):
        with engine.begin() as connection:
            connection.execute(text(f"CREATE TABLE late {DEFERRED}"))
        with joined.test(), engine.begin() as connection:
            connection.execute(text(f"CREATE TABLE later {DEFERRED}"))
            connection.execute(text("INSERT INTO later VALUES (1), (1)"))
            connection.execute(text("DELETE FROM later"))
