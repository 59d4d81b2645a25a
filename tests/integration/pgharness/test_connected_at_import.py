"""A connection that is opened while conftest or a test module is imported waits for the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project import COUNT_AND_ADD, Project

INI = """
[pytest]
asyncio_mode = auto
pythonpath = .
pg_env = DATABASE_URL={url}
"""
APP = """
import asyncio, os
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

class Base(DeclarativeBase):
    pass

class Item(Base):
    __tablename__ = "item"
    id: Mapped[int] = mapped_column(primary_key=True)

URL = os.environ["DATABASE_URL"]
"""
ENGINE = (
    """
engine = create_engine(URL)
Base.metadata.create_all(engine)
"""
    + COUNT_AND_ADD
)
ASYNC_ENGINE = (
    """
async def create():
    engine = create_async_engine(URL)
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    await engine.dispose()

asyncio.run(create())
engine = create_engine(URL.replace("asyncpg", "psycopg"))
"""
    + COUNT_AND_ADD
)
RAW = """
import psycopg
with psycopg.connect(URL.replace("+psycopg", "")) as connection:
    assert connection.execute("SELECT count(*) FROM item").fetchone() == (0,)
""" + ENGINE.replace("Base.metadata.create_all(engine)", "")
METADATA = "pg_metadata = app:Base.metadata\n"
SQL = "pg_sql = schema.sql\n"
TESTS = """
from app import add, count

def test_one(pg_database):
    add()
    assert count() == 1

def test_other(pg_database):
    assert count() == 0
"""


UNFORETOLD = """
import pytest
from app import add, count

def test_nothing():
    pass

def test_in_a_test():
    before = count()
    add()
    assert count() == before + 1

@pytest.fixture
def narrow():
    add()

@pytest.fixture(scope="module")
def wide():
    add()

@pytest.mark.parametrize("again", [1, 2])
def test_in_a_fixture(wide, narrow, again):
    assert count() == 2

@pytest.mark.parametrize("again", [1, 2])
def test_in_a_fixture_of_wider_scope(wide, again):
    assert count() == 1
"""


def write(project: Project, driver: str, app: str, *, conftest: bool = False) -> None:
    schema = SQL if app is RAW else METADATA
    project.write("pytest.ini", INI.replace("{url}", f"{{{driver}_url}}") + schema)
    project.write("schema.sql", "CREATE TABLE item (id serial PRIMARY KEY)")
    project.write("app.py", APP + app)
    project.write("conftest.py", "import app\n" if conftest else "")
    project.write("test_it.py", TESTS)


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("conftest", [False, True])
@pytest.mark.parametrize(
    ("driver", "app"),
    [("psycopg", ENGINE), ("psycopg2", ENGINE), ("asyncpg", ASYNC_ENGINE), ("psycopg", RAW)],
    ids=["psycopg", "psycopg2", "asyncpg", "raw"],
)
def test_the_server_is_there_for_it(
    empty_project: Project, driver: str, app: str, workers: str, *, conftest: bool
) -> None:
    write(empty_project, driver, app, conftest=conftest)

    result = empty_project.pytest("-n", workers)

    assert result.outcomes == {"passed": 2}, result.output


@pytest.mark.parametrize("driver", ["psycopg", "psycopg2"])
def test_it_is_turned_away_where_there_is_no_server(tmp_path: Path, driver: str) -> None:
    project = Project(tmp_path, "postgresql://nobody:secret@127.0.0.1:1/postgres")
    write(project, driver, ENGINE)

    result = project.pytest(timeout=60)

    assert result.code == 4, result.output
    assert "ERROR: pgharness: " in result.output
    assert "127.0.0.1:1" in result.output.partition("ERROR: pgharness: ")[2]


def test_what_it_writes_is_refused_by_name(empty_project: Project) -> None:
    write(empty_project, "psycopg", ENGINE + "add()\n")
    empty_project.write("pytest.ini", INI.replace("{url}", "{psycopg_url}") + SQL)

    result = empty_project.pytest()

    assert "pgharness: the test database was written to at app.py:" in result.output, result.output
    assert "while no test was running." in result.output


def test_nothing_is_started_where_nobody_connects(empty_project: Project) -> None:
    write(empty_project, "psycopg", ENGINE)
    empty_project.write("test_it.py", "import os\ndef test_it():\n    assert os.environ['DATABASE_URL']\n")

    result = empty_project.pytest()

    assert result.outcomes == {"passed": 1}, result.output
    assert "pg: " not in result.output


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_first_connection_starts_the_server(empty_project: Project, workers: str) -> None:
    """Whatever connects in a test or in a fixture: nothing has foretold it."""
    write(empty_project, "psycopg", ENGINE.replace("Base.metadata.create_all(engine)", ""))
    empty_project.write("test_it.py", UNFORETOLD)

    result = empty_project.pytest("-n", workers)

    assert result.outcomes == {"passed": 6}, result.output
    assert result.line("pg: ").endswith("tests in" + result.line("pg: ").rpartition("tests in")[2])
