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
