"""``live_server`` in a project: under both isolations, and what a failure shows."""

from __future__ import annotations

from tests.integration.pgharness.conftest import MakeProject

TESTS = """
import time
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
    time.sleep(0.5)  # its audit is written by now: while it is not committed, rollback refuses to read
    assert httpx.get(f"{through.url}/notes").json() >= 1
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


OTHER_PROCESS = """
import os, subprocess, sys, time
import httpx, pytest, notes

@pytest.fixture
def server(unused_port):
    command = [sys.executable, "-m", "uvicorn", "notes:app", f"--port={unused_port}", "--log-level=warning"]
    with subprocess.Popen(command) as process:
        url = f"http://127.0.0.1:{unused_port}"
        for _ in range(600):
            try:
                httpx.get(f"{url}/notes")
                break
            except httpx.ConnectError:
                time.sleep(0.05)
        yield url
        process.terminate()

@pytest.fixture
def unused_port():
    import socket
    with socket.create_server(("127.0.0.1", 0)) as made:
        return made.getsockname()[1]

@pytest.mark.parametrize("run", [1, 2])
async def test_uvicorn_in_a_process_of_its_own(pg_database, server, db_session, run):
    db_session.add(notes.Note(text="of the test"))
    await db_session.commit()
    assert httpx.get(f"{server}/notes").json() == 1
    assert httpx.post(f"{server}/notes", params={"text": "of the app"}).status_code == 201
    texts = (await db_session.scalars(notes.select(notes.Note.text))).all()
    assert {"of the test", "of the app"} <= set(texts)
"""


def test_uvicorn_in_a_process_of_its_own_shares_the_test_s_transaction(project: MakeProject) -> None:
    adopter = project("asyncpg_app")
    adopter.write("test_notes.py", OTHER_PROCESS)

    result = adopter.pytest()

    assert (result.code, result.outcomes) == (0, {"passed": 2}), result.output


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
