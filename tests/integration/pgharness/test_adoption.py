"""Small projects adopt the plugin with a few lines of ini and no conftest."""

from __future__ import annotations

import asyncpg
import pytest

from pgharness.fixtures import PgServer
from tests.integration.pgharness.conftest import MakeProject


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("example", ["asyncpg_app", "psycopg_app", "sqlmodel_app"])
def test_an_app_that_commits_passes_again_and_again_in_any_order(
    project: MakeProject, example: str, workers: str
) -> None:
    adopter = project(example)

    first = adopter.pytest("-n", workers, "-p", "randomly", "-p", "no:randomly")
    second = adopter.pytest("-n", workers)

    assert first.code == 0, first.output
    assert second.code == 0, second.output
    assert set(first.outcomes) == set(second.outcomes) == {"passed"}


NAME = """
def test_name(pg_database):
    with open("name", "w") as file:
        file.write(pg_database.name)
"""


async def test_a_run_leaves_no_database_but_the_template(project: MakeProject, pg_server: PgServer) -> None:
    adopter = project("asyncpg_app")

    adopter.write("test_name.py", NAME)

    result = adopter.pytest("-n", "2")

    assert result.code == 0, result.output
    run = (
        (adopter.path / "name").read_text().split("_")[1]
    )  # other workers of this suite have theirs meanwhile
    assert {name for name in await databases(pg_server.url) if run in name} == set()


async def databases(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        return {row[0] for row in await connection.fetch("SELECT datname FROM pg_database")}
    finally:
        await connection.close()


LOOPS = [
    pytest.param(["-o", f"asyncio_mode={mode}", "-o", f"asyncio_default_test_loop_scope={scope}",
                  "-o", f"asyncio_default_fixture_loop_scope={fixtures}"], id=f"{mode}-{scope}-{fixtures}")
    for mode, scope, fixtures in [
        ("auto", "function", "function"),
        ("auto", "session", "session"),
        ("auto", "module", "module"),
        ("auto", "function", "session"),
        ("auto", "session", "function"),
        ("strict", "function", "function"),
        ("strict", "session", "session"),
    ]
]  # fmt: skip
FIXTURE = """
import pytest_asyncio
from notes import Note

@pytest_asyncio.fixture
async def note(db_session):
    db_session.add(Note(text="from a fixture"))
    await db_session.commit()
    yield "from a fixture"
    await db_session.delete((await db_session.scalars(__import__("sqlalchemy").select(Note))).first())
    await db_session.commit()
"""
USE = """
async def test_an_async_fixture_and_the_app_see_one_another(note, client):
    assert (await client.get("/notes")).json() == 1

async def test_again(note, client):
    assert (await client.get("/notes")).json() == 1
"""


@pytest.mark.parametrize("options", LOOPS)
def test_pytest_asyncio_in_every_mode_and_loop_scope(project: MakeProject, options: list[str]) -> None:
    adopter = project("asyncpg_app")
    tests = (adopter.path / "test_notes.py").read_text() + USE
    adopter.write("test_notes.py", "import pytest\npytestmark = pytest.mark.asyncio\n" + tests)
    adopter.write("conftest.py", FIXTURE)

    result = adopter.pytest(*options)

    assert (result.code, result.outcomes) == (0, {"passed": 8}), result.output


def test_anyio_in_place_of_pytest_asyncio(project: MakeProject) -> None:
    adopter = project("asyncpg_app")
    tests = (adopter.path / "test_notes.py").read_text() + USE
    adopter.write("test_notes.py", "import pytest\npytestmark = pytest.mark.anyio\n" + tests)
    adopter.write(
        "conftest.py",
        FIXTURE.replace("pytest_asyncio", "pytest")
        + "import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n",
    )
    (adopter.path / "pyproject.toml").write_text(
        (adopter.path / "pyproject.toml").read_text().replace('asyncio_mode = "auto"\n', "")
    )

    result = adopter.pytest("-p", "no:asyncio")

    assert (result.code, result.outcomes) == (0, {"passed": 8}), result.output


def test_testclient_over_an_async_app_in_plain_tests(project: MakeProject) -> None:
    adopter = project("asyncpg_app")
    adopter.write(
        "test_notes.py",
        """
import notes
from starlette.testclient import TestClient

def test_the_harness_client(sync_client):
    assert sync_client.post("/notes", params={"text": "a"}).status_code == 201
    assert sync_client.get("/notes").json() == 2

def test_a_client_of_the_tests_own_without_a_context(pg_database):
    client = TestClient(notes.app)  # a loop per request
    assert client.get("/notes").json() == 0
    assert client.post("/notes", params={"text": "a"}).status_code == 201
    assert client.get("/notes").json() == 2

async def test_an_async_test_in_the_same_run(client):
    assert (await client.get("/notes")).json() == 0
""",
    )

    result = adopter.pytest()

    assert (result.code, result.outcomes) == (0, {"passed": 3}), result.output
