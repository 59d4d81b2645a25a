"""What a fixture of wider scope writes: its tests see it as it was made, add to it, and leave it so."""

from __future__ import annotations

import pytest

from tests.support.project import Project
from tests.support.wide_fixtures import IN_ORDER, write_into

CONFTEST = """
globals().update(fixtures_of("session"), **fixtures_of("module"), **fixtures_of("class"))

@pytest.fixture(scope="module", params=["one", "other"])
def instance(request):
    name = f"instance {request.param}"
    begin(name)
    yield name
    end(name)
"""
TESTS = """
import unittest

real = pytest.mark.parametrize("_", [0, pytest.param(1, marks=pytest.mark.pg(isolation="database"))])

def setup_module():
    begin("setup_module")

def teardown_module():
    end("setup_module")

def test_alone(pg_database):
    check("setup_module")

@real
@uses("session")
def test_session(_):
    check("session_by_session", "setup_module")

@real
@uses("package")
def test_package(_):
    check("package_by_engine", "setup_module")

@uses("session", "module")
def test_module(module_by_asyncpg):
    assert items()["module_by_asyncpg"] == module_by_asyncpg
    check("session_by_psycopg", "module_by_async_engine")
    vacuum_in_second_attempt()
    assert items()["module_by_asyncpg"] == module_by_asyncpg

@uses("session", "module")
async def test_async(session_by_asyncpg):
    note("async", await by_async_engine(INSERT.format("async")))
    try:
        assert items() == LIVE
        vacuum_in_second_attempt()
        assert items() == LIVE
    finally:
        del LIVE["async"]

class TestClass:
    @classmethod
    def setup_class(cls):
        begin("setup_class")

    @classmethod
    def teardown_class(cls):
        end("setup_class")

    @real
    @uses("class")
    def test_class(self, _):
        check("setup_class", "class_by_psycopg2", "class_by_asyncpg")

    @uses("session", "class")
    def test_late(self):
        check("setup_class", "class_by_psycopg", "session_by_session")
        vacuum_in_second_attempt()

    def test_alone(self, pg_database):
        check("setup_class")

@pytest.mark.usefixtures("pg_database")
class TestUnittest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        begin("setUpClass")

    @classmethod
    def tearDownClass(cls):
        end("setUpClass")

    def test_one(self):
        check("setUpClass")

    def test_two(self):
        check("setUpClass")
        vacuum_in_second_attempt()

@real
@uses("session")
def test_instance(instance, _):
    check(instance)
    assert len([name for name in LIVE if name.startswith("instance ")]) == 1

def test_instance_too(instance, pg_database):
    check(instance)
    vacuum_in_second_attempt()
"""
TEST_OUTSIDE = """
def test_outside(pg_database):
    assert not any(name.startswith(("package", "module", "class", "instance", "set")) for name in LIVE)
    check()

@uses("session")
def test_session():
    check("session_by_engine")
    vacuum_in_second_attempt()
"""


@pytest.mark.parametrize(
    ("isolation", "options"),
    [
        ("rollback", IN_ORDER),
        ("database", IN_ORDER),
        ("auto", IN_ORDER),
        ("rollback", ("-p", "randomly", "--randomly-seed=1")),
        ("database", ("-p", "randomly", "--randomly-seed=2")),
        ("auto", ("-p", "randomly", "--randomly-seed=3")),
        ("auto", ("-p", "randomly", "--randomly-seed=4")),
        ("rollback", ("-n", "2", "-p", "randomly", "--randomly-seed=5")),
        ("auto", ("-n", "2", "-p", "randomly", "--randomly-seed=6")),
        ("auto", ("-n", "2", "--dist=loadscope", *IN_ORDER)),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_every_scope_and_driver(empty_project: Project, isolation: str, options: tuple[str, ...]) -> None:
    adopter = write_into(empty_project, conftest=CONFTEST, test_outside=TEST_OUTSIDE)
    adopter.write("package/__init__.py", "")
    adopter.write("package/conftest.py", 'from helpers import *\nglobals().update(fixtures_of("package"))\n')
    for name in ("test_one", "test_other"):
        adopter.write(f"package/{name}.py", f"from helpers import *\n{TESTS}")

    result = adopter.pytest(f"--pg-isolation={isolation}", *options, ISOLATION=isolation)

    assert (result.code, result.outcomes) == (0, {"passed": 2 * 19 + 2}), result.output
    assert ("had real commits" in result.output) == (isolation == "auto"), result.output


MADE_BY_FIXTURE = """
from sqlalchemy import Column, Integer, MetaData, String, Table, UniqueConstraint

metadata = MetaData()
users = Table(
    "users", metadata, Column("id", Integer, primary_key=True), Column("name", String),
    UniqueConstraint("name", deferrable=True, initially="DEFERRED"),
)

@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def tables():
    async with async_engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield
    async with async_engine.begin() as connection:
        await connection.run_sync(metadata.drop_all)
    assert by_psycopg("SELECT to_regclass('users')") == (None,)

@pytest.fixture(scope="module", autouse=True)
def adder():
    with engine.begin() as connection:
        connection.execute(text(
            "CREATE FUNCTION add(n text) RETURNS int LANGUAGE sql AS "
            "'INSERT INTO users (name) VALUES (n) RETURNING id'"
        ))

@pytest.fixture(scope="class")
def added(adder):
    return by_psycopg("SELECT add('of the class')")
"""
TESTS_OF_TABLES = """
from sqlalchemy.exc import IntegrityError

real = pytest.mark.parametrize("_", [0, pytest.param(1, marks=pytest.mark.pg(isolation="database")), 2])

def names():
    with engine.connect() as connection:
        return sorted(connection.execute(text("SELECT name FROM users")).scalars())

@real
def test_rows(pg_database, _):
    assert names() == []
    assert by_engine("INSERT INTO users (name) VALUES ('a') RETURNING id") == (1,)

@real
def test_a_constraint_of_the_table_is_checked_at_the_commit(pg_database, _):
    with engine.connect() as connection:
        connection.execute(text("INSERT INTO users (name) VALUES ('a'), ('a')"))
        with pytest.raises(IntegrityError):
            connection.commit()
    assert names() == []

class TestClass:
    @real
    def test_rows_that_a_function_has_written(self, pg_database, added, _):
        assert names() == ["of the class"]
        assert by_psycopg("SELECT add('of a test')") == (added[0] + 1,)
"""


@pytest.mark.parametrize("isolation", ["rollback", "database", "auto"])
@pytest.mark.parametrize("seed", ["1", "2"])
def test_tables_that_a_session_fixture_makes(empty_project: Project, isolation: str, seed: str) -> None:
    adopter = write_into(
        empty_project, conftest=MADE_BY_FIXTURE, test_one=TESTS_OF_TABLES, test_other=TESTS_OF_TABLES
    )

    result = adopter.pytest(f"--pg-isolation={isolation}", "-p", "randomly", f"--randomly-seed={seed}")

    assert (result.code, result.outcomes) == (0, {"passed": 18}), result.output


MAKING_WAY = """
MADE = []

@pytest.fixture(scope="session")
def of_session():
    MADE.append("session begins")
    begin("of the session")
    yield
    end("of the session")

@pytest.fixture(scope="module")
def of_module():
    MADE.append("module begins")
    begin("of the module")
    yield
    end("of the module")
    MADE.append("module ends")

@pytest.fixture(scope="module", autouse=True)
def without_rows():
    MADE.append("without rows")
"""
LATER = """
from conftest import MADE

def test_module(of_module, pg_database):
    check("of the module")

def test_session(of_session, pg_database):
    assert MADE == ["without rows", "module begins", "module ends", "session begins"]
    check("of the session")

def test_both(of_module, of_session, pg_database):
    assert MADE[4:] == ["module begins"]
    check("of the session", "of the module")
"""


def test_what_has_written_before_a_wider_fixture_is_set_up_again(empty_project: Project) -> None:
    afterwards = "def test_it(pg_database):\n    assert list(LIVE) == ['of the session']\n    check()\n"
    adopter = write_into(empty_project, conftest=MAKING_WAY, test_it=LATER, test_later=afterwards)

    result = adopter.pytest(*IN_ORDER)

    assert (result.code, result.outcomes) == (0, {"passed": 4}), result.output
