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
def test_no_test_asks_for_the_database(own_fixtures: Project, workers: str) -> None:
    own_fixtures.url = ""

    result = own_fixtures.pytest("--pg-backend=local", "-n", workers)

    assert result.outcomes == {"error": 1}, result.output
    assert result.line("pg: ") == (
        "pg: a test wanted to connect to the address in pg_env, and no server was started: no test asks for "
        'the database. To ask for all of them: usefixtures = ["pg_database"] in the pytest ini'
    )


@pytest.mark.parametrize("isolation", ["rollback", "database"])
def test_fixtures_that_make_and_drop_the_tables_may_stay(own_fixtures: Project, isolation: str) -> None:
    """``create_all`` finds what the harness has made, and nobody sees that it is dropped."""
    own_fixtures.write("test_other.py", USES_OWN)

    result = own_fixtures.pytest("-o", "usefixtures=pg_database", f"--pg-isolation={isolation}")

    assert (result.code, result.outcomes) == (0, {"passed": 2}), result.output


def test_without_that_fixture_it_passes(own_fixtures: Project) -> None:
    conftest = own_fixtures.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace("autouse=True", "").replace("(create_tables)", "()"))

    result = own_fixtures.pytest("-o", "usefixtures=pg_database")

    assert (result.code, result.outcomes) == (0, {"passed": 1}), result.output


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
