"""What an existing suite meets while it moves to the harness: each wrong step has its sentence."""

from __future__ import annotations

import pytest

from tests.integration.pgharness.conftest import MakeProject
from tests.support.project import Project

OWN_SETUP = """
import notes
import pytest_asyncio

@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def create_tables():
    async with notes.engine.begin() as connection:
        await connection.run_sync(notes.Base.metadata.create_all)
    yield
    async with notes.engine.begin() as connection:
        await connection.run_sync(notes.Base.metadata.drop_all)

@pytest_asyncio.fixture(loop_scope="session")
async def own_session(create_tables):
    async with notes.sessions() as session:
        yield session
"""
USES_OWN = """
import pytest
from notes import Note

@pytest.mark.asyncio(loop_scope="session")
async def test_own_session(own_session):
    own_session.add(Note(text="a"))
    await own_session.commit()
"""


@pytest.fixture
def own_fixtures(project: MakeProject) -> Project:
    """A project with lines for the harness in its ini, and fixtures that do the work as before."""
    adopter = project("asyncpg_app")
    adopter.write("conftest.py", OWN_SETUP)
    adopter.write("test_notes.py", USES_OWN)
    return adopter


@pytest.mark.parametrize("workers", ["0", "2"])
def test_its_own_fixtures_are_all_that_is_needed(own_fixtures: Project, workers: str) -> None:
    """One of session scope makes the tables, which are there, and drops them at the end."""
    result = own_fixtures.pytest("-n", workers)

    assert result.outcomes == {"passed": 1}, result.output


def test_a_server_that_is_not_to_be_had_is_said_once_somebody_connects(own_fixtures: Project) -> None:
    own_fixtures.url = "postgresql://nobody:secret@127.0.0.1:1/postgres"

    result = own_fixtures.pytest(timeout=60)

    assert result.code == 1, result.output
    assert "pgharness: no PostgreSQL server answers at 127.0.0.1:1 (pg_url)." in result.output


DROPS_AND_CREATES = """
import os
import psycopg, psycopg2, pytest

URL = os.environ["DATABASE_URL"].replace("+asyncpg", "")
SERVER, _, NAME = URL.rpartition("/")

def recreate(*statements):
    connection = psycopg2.connect(f"{SERVER}/postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME])
        assert cursor.fetchall() == [(1,)]
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{NAME}' AND pid <> pg_backend_pid()"
        )
        for statement in statements:
            cursor.execute(statement)
    connection.close()
    with psycopg.connect(f"{SERVER}/postgres", autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)

@pytest.fixture(scope="session", autouse=True)
def database():
    recreate(f'DROP DATABASE IF EXISTS "{NAME}"', f"CREATE DATABASE {NAME} ENCODING 'utf8'")
    yield
    recreate(f"drop database {NAME} WITH (FORCE)")
"""
COUNTS = """
import pytest, psycopg
from conftest import URL

@pytest.mark.parametrize("again", [1, 2])
def test_it(again):
    with psycopg.connect(URL) as connection:
        connection.execute("INSERT INTO notes (text) VALUES ('a')")
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (1,)
"""


@pytest.mark.parametrize("options", [("-n", "0"), ("-n", "2"), ("--pg-isolation=database",)])
def test_a_fixture_that_drops_the_database_and_creates_it_finds_it_as_it_is(
    project: MakeProject, options: tuple[str, ...]
) -> None:
    adopter = project("asyncpg_app")
    adopter.write("conftest.py", DROPS_AND_CREATES)
    adopter.write("test_notes.py", COUNTS)

    result = adopter.pytest(*options)

    assert result.outcomes == {"passed": 2}, result.output


FACTORY = """
import pytest
import pytest_asyncio
from notes import Note

@pytest_asyncio.fixture
async def note(db_session):
    found = Note(text="as made")
    db_session.add(found)
    await db_session.commit()
    return found
"""
READS_AGAIN = """
import notes
import pytest
import sqlalchemy

pytestmark = pytest.mark.asyncio(loop_scope="{scope}")

async def change(text):
    async with notes.sessions() as session:
        await session.execute(sqlalchemy.update(notes.Note).values(text=text))
        await session.commit()

async def test_a_query_returns_what_the_app_has_written(note, db_session):
    await change("by the app")
    assert note.text == "as made"
    assert (await db_session.scalar(sqlalchemy.select(notes.Note))).text == "by the app"
    await change("again")
    assert (await db_session.get(notes.Note, note.id)).text == "again"
    await change("once more")
    assert (await db_session.get_one(notes.Note, note.id)).text == "once more"

async def test_changes_of_the_tests_own_are_not_lost(note, db_session):
    note.text = "not flushed"
    assert (await db_session.get(notes.Note, note.id)).text == "not flushed"
    note.text = "nor this"
    assert (await db_session.scalars(sqlalchemy.select(notes.Note))).one().text == "nor this"
    with db_session.no_autoflush:
        note.text = "nor that"
        assert (await db_session.get(notes.Note, note.id)).text == "nor that"
        assert (await db_session.scalars(sqlalchemy.select(notes.Note))).one().text == "nor that"
"""


@pytest.mark.parametrize(("scope", "isolation"), [
    ("function", "rollback"),
    ("session", "rollback"),  # the fixture has a loop of its own
    ("session", "database"),
    ("function", "database"),
])  # fmt: skip
def test_db_session_reads_what_the_database_holds(project: MakeProject, scope: str, isolation: str) -> None:
    adopter = project("asyncpg_app")
    adopter.write("conftest.py", FACTORY)
    adopter.write("test_notes.py", READS_AGAIN.format(scope=scope))

    result = adopter.pytest(
        f"--pg-isolation={isolation}", "-W", "error", "-o", "asyncio_default_fixture_loop_scope=function"
    )

    assert (result.code, result.outcomes) == (0, {"passed": 2}), result.output
