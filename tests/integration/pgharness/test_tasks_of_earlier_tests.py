"""A task that outlives its test, and reaches the database only in a later one, is refused there."""

from __future__ import annotations

import pytest

from tests.integration.pgharness.conftest import MakeProject

TESTS = """
import asyncio, os
import pytest, pytest_asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

URL = os.environ["DATABASE_URL"]
ONE = text("SELECT 1")
tasks = {}

async def job(engine, go_on):
    await go_on.wait()
    async with engine.connect() as connection:
        return (await connection.execute(ONE)).scalar()

def begin(name):
    engine, go_on = create_async_engine(URL), asyncio.Event()
    tasks[name] = asyncio.create_task(job(engine, go_on)), go_on, engine

async def end(name):
    task, go_on, engine = tasks.pop(name)
    go_on.set()
    try:
        return await task
    finally:
        await engine.dispose()

@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def of_the_module():
    begin("module")

async def test_begins(of_the_module, pg_database):
    begin("test")

async def test_same_test(pg_database):
    begin("same")
    assert await end("same") == 1

async def test_of_a_wider_fixture(pg_database):
    assert await end("module") == 1

async def test_ends(pg_database):
    await end("test")
"""


@pytest.mark.parametrize("isolation", ["rollback", "database"])
def test_it_is_refused_and_a_wider_fixtures_task_is_not(project: MakeProject, isolation: str) -> None:
    adopter = project("asyncpg_app")
    adopter.write("test_notes.py", TESTS)

    one_loop = "asyncio_default_test_loop_scope=session"
    result = adopter.pytest("-p", "no:randomly", "-o", one_loop, f"--pg-isolation={isolation}")

    assert result.outcomes == {"passed": 3, "failed": 1}, result.output
    assert (
        "test_notes.py::test_ends: the task job() at test_notes.py:11 of an earlier test "
        "reached the test database." in result.output
    )
