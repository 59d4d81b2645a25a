"""``live_server`` in a project: how it chooses the isolation, and what a failure shows."""

from __future__ import annotations

from pgharness.errors import ConfigError
from tests.integration.pgharness.conftest import MakeProject

TESTS = """
import httpx
import pytest
import notes

@pytest.fixture
def through(live_server):
    return live_server

@pytest.mark.parametrize("run", [1, 2])
def test_passes(through, pg_database, run):
    assert httpx.get(f"{through.url}/notes").json() == 0
    assert httpx.post(f"{through.url}/notes", params={"text": "passed"}).status_code == 201
    assert pg_database.isolation == "database"

def test_fails(live_server):
    httpx.post(f"{live_server.url}/notes", params={"text": "failed"})
    httpx.post(f"{live_server.url}/notes", params={"text": "failed"})
    raise AssertionError("on purpose")

async def test_in_process(client, pg_database):
    assert (await client.get("/notes")).json() == 0
    assert pg_database.isolation == "rollback"
"""
MARKED = """
import pytest
pytestmark = pytest.mark.pg(isolation="{module}")

@pytest.mark.pg(isolation="{function}")
def test_marked(live_server):
    pass
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

    assert (result.code, result.outcomes) == (1, {"failed": 1, "passed": 4}), result.output
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


def test_a_marker_that_says_rollback_is_a_usage_error(project: MakeProject) -> None:
    adopter = project("asyncpg_app")
    adopter.write("test_notes.py", MARKED.format(module="database", function="rollback"))
    adopter.write("test_closest.py", MARKED.format(module="rollback", function="database"))

    refused = adopter.pytest()
    taken = adopter.pytest("test_closest.py")

    error = ConfigError.live_server_rolled_back("test_notes.py::test_marked")
    assert refused.code == 4, refused.output
    assert f"ERROR: {error}" in refused.output
    assert (taken.code, taken.outcomes) == (0, {"passed": 1}), taken.output
