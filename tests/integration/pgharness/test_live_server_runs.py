"""``live_server`` in a project: under both isolations, and what a failure shows."""

from __future__ import annotations

from tests.integration.pgharness.conftest import MakeProject

TESTS = """
import httpx
import pytest
import notes

@pytest.fixture
def through(live_server):
    return live_server

@pytest.mark.parametrize("isolation", [
    pytest.param(name, marks=pytest.mark.pg(isolation=name)) for name in ("rollback", "database", "rollback")
])
def test_passes(through, db_session, pg_database, isolation):
    assert httpx.get(f"{through.url}/notes").json() == 0
    assert httpx.post(f"{through.url}/notes", params={"text": "passed"}).status_code == 201
    assert httpx.get(f"{through.url}/notes").json() >= 1  # its audit may have been written by now
    assert pg_database.isolation == isolation

def test_fails(live_server):
    httpx.post(f"{live_server.url}/notes", params={"text": "failed"})
    httpx.post(f"{live_server.url}/notes", params={"text": "failed"})
    raise AssertionError("on purpose")

async def test_in_process(client, pg_database):
    assert (await client.get("/notes")).json() == 0
    assert pg_database.isolation == "rollback"
"""
OWN = """
import pytest

@pytest.fixture
def live_server():
    return "of the project itself"

@pytest.mark.pg(isolation="rollback")
def test_own(live_server, pg_database):
    assert (live_server, pg_database.isolation) == ("of the project itself", "rollback")
"""


def test_the_server_s_log_is_in_the_report_of_a_failure_alone(project: MakeProject) -> None:
    adopter = project("asyncpg_app")
    adopter.write("test_notes.py", TESTS)
    adopter.write("test_own.py", OWN)

    result = adopter.pytest("-rA", "-p", "no:randomly", "--show-capture=all")

    assert (result.code, result.outcomes) == (1, {"failed": 1, "passed": 5}), result.output
    sections = [index for index, line in enumerate(result.lines) if " Live server log " in line]
    assert len(sections) == 1, result.output
    end = next(
        i for i, line in enumerate(result.lines) if i > sections[0] and line.startswith(("___", "==="))
    )
    shown = "\n".join(result.lines[sections[0] : end])
    assert '"POST /notes?text=failed HTTP/1.1" 201' in shown
    assert '"POST /notes?text=failed HTTP/1.1" 500' in shown
    assert "ERROR    uvicorn.error: Exception in ASGI application" in shown
    assert "UniqueViolation" in shown
    assert "text=passed" not in result.output
