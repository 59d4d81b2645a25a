"""anyio's own pytest plugin, with a loop of module scope."""

from __future__ import annotations

from tests.integration.pgharness.conftest import MakeProject

ANYIO_CONFTEST = """
import asyncio
import pytest

@pytest.fixture(scope="module")
def anyio_backend(): return "asyncio"

@pytest.fixture(scope="module")
async def loop(anyio_backend):
    yield asyncio.get_running_loop()
"""
ANYIO_TESTS = """
import asyncio
import anyio
import pytest
from notes import Note
from sqlalchemy import select

asynchronous = pytest.mark.anyio

async def post(client, text): assert (await client.post("/notes", params={"text": text})).status_code == 201

@asynchronous
@pytest.mark.parametrize("run", [1, 2, 3])
async def test_requests_in_a_task_group(client, db_session, loop, run):
    assert asyncio.get_running_loop() is loop
    async with anyio.create_task_group() as group:
        for name in "abc":
            group.start_soon(post, client, name)
    assert len((await db_session.scalars(select(Note))).all()) == 6

@asynchronous
async def test_from_a_thread_back_to_the_loop(client):
    await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(post, client, "a"))
    assert (await client.get("/notes")).json() == 2

def test_a_plain_test_between_them(sync_client):
    assert sync_client.post("/notes", params={"text": "a"}).status_code == 201
    assert sync_client.get("/notes").json() == 2
"""


def test_anyio_on_a_loop_of_module_scope(project: MakeProject) -> None:
    adopter = project("asyncpg_app")
    adopter.write("conftest.py", ANYIO_CONFTEST)
    adopter.write("test_notes.py", ANYIO_TESTS)
    ini = adopter.path / "pyproject.toml"
    ini.write_text(ini.read_text().replace('asyncio_mode = "auto"\n', ""))

    result = adopter.pytest("-p", "no:asyncio")

    assert (result.code, result.outcomes) == (0, {"passed": 5}), result.output
