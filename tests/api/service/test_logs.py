"""What the service logs: enough to find a request, and never a secret."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import respx
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from service import logs
from service.models import User

PASSWORD = "correct horse battery"
NEW_PASSWORD = "staple the next horse"
ADA = {"email": "ada@example.org", "name": "Ada", "password": PASSWORD}
AUTH = "/api/v1/auth"


class Log(io.StringIO):
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def requests(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if line["logger"] == logs.ACCESS]


@pytest.fixture
def log() -> Iterator[Log]:
    """All that the loggers of this process say at the lowest level, formatted as in production."""
    written = Log()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.JsonLines())
    root = logging.getLogger()
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in (None, *logs.TALKATIVE)}
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logs.quieten()
    yield written
    root.removeHandler(handler)
    for logger, level in levels.items():
        logger.setLevel(level)


@pytest.fixture
def pg_client_options() -> dict[str, Any]:
    """A crash of the app is an answer with status 500, as it is in production."""
    return {"raise_app_exceptions": False}


async def test_a_request_is_one_line_that_tells_what_it_was(client: AsyncClient, log: Log) -> None:
    await client.get("/api/v1/tasks/00000000-0000-0000-0000-000000000000?limit=7")

    (line,) = log.requests()
    assert line == {
        "time": line["time"],
        "level": "INFO",
        "logger": "service.access",
        "message": "request",
        "method": "GET",
        "path": "/api/v1/tasks/00000000-0000-0000-0000-000000000000",
        "route": "/api/v1/tasks/{task_id}",
        "status": 401,
        "duration_ms": line["duration_ms"],
        "request_id": line["request_id"],
    }
    assert line["duration_ms"] >= 0


async def test_the_answer_has_the_id_of_the_request_and_so_has_every_line(
    client: AsyncClient, log: Log, pwned: respx.Route
) -> None:
    pwned.respond(503)

    response = await client.post("/api/v1/users", json=ADA)

    ours = [line for line in log.lines() if line["logger"].startswith("service.")]
    assert [line["message"] for line in ours] == [
        "breached passwords could not be asked for",
        "registered",
        "request",
    ]
    assert {line["request_id"] for line in ours} == {response.headers["x-request-id"]}


async def test_an_id_that_the_client_gives_is_kept(client: AsyncClient, log: Log) -> None:
    response = await client.get("/api/v1/users/me", headers={"X-Request-ID": "from-the-proxy.1"})

    assert response.headers["x-request-id"] == "from-the-proxy.1"
    assert log.requests()[0]["request_id"] == "from-the-proxy.1"


@pytest.mark.parametrize("given", [b"", b"x" * 65, b"a b", b'a"}{"b', b"\xe4"])
async def test_an_id_that_cannot_be_logged_is_replaced(client: AsyncClient, given: bytes) -> None:
    response = await client.get("/health", headers={b"X-Request-ID": given})

    assert len(response.headers["x-request-id"]) == 32


async def test_what_machines_ask_all_the_time_is_logged_for_debugging_only(
    client: AsyncClient, log: Log
) -> None:
    for path in ("/health", "/ready", "/metrics"):
        await client.get(path)

    assert [line["level"] for line in log.requests()] == ["DEBUG"] * 3


async def test_a_path_of_no_route_is_logged_without_one(client: AsyncClient, log: Log) -> None:
    await client.get("/nothing")

    assert (log.requests()[0]["route"], log.requests()[0]["status"]) == (None, 404)


async def test_a_crash_is_logged_with_its_request_and_told_to_nobody(
    app: FastAPI, client: AsyncClient, db_session: AsyncSession, log: Log
) -> None:
    await db_session.execute(text("ALTER TABLE users RENAME TO people"))
    await db_session.commit()

    response = await client.post("/api/v1/users", json=ADA)

    assert response.status_code == 500
    assert response.headers["x-request-id"] == log.requests()[0]["request_id"]
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "people" not in response.text
    assert log.requests()[0]["status"] == 500


async def test_no_secret_is_ever_logged(client: AsyncClient, log: Log, app: FastAPI) -> None:
    await client.post("/api/v1/users", json=ADA)
    form = {"username": ADA["email"], "password": PASSWORD}
    first = (await client.post(f"{AUTH}/token", data=form)).json()
    second = (await client.post(f"{AUTH}/refresh", json={"refresh_token": first["refresh_token"]})).json()
    bearer = {"Authorization": f"Bearer {second['access_token']}"}
    await client.get("/api/v1/users/me", headers=bearer)
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    await client.put("/api/v1/users/me/password", json=change, headers=bearer)
    await client.post(f"{AUTH}/logout", json={"refresh_token": second["refresh_token"]})
    await client.post(f"{AUTH}/refresh", json={"refresh_token": first["refresh_token"]})
    await client.post(f"{AUTH}/token", data={**form, "password": "a wrong password"})
    await client.post("/api/v1/users", json={**ADA, "password": "short"})
    await client.get(f"/api/v1/tasks?token={second['access_token']}")

    secrets = [
        *(PASSWORD, NEW_PASSWORD, "a wrong password", "short", "$argon2"),
        *(tokens[kind] for tokens in (first, second) for kind in ("access_token", "refresh_token")),
        app.state.settings.secret_key.get_secret_value(),
    ]
    assert len(log.requests()) == 10
    assert [secret for secret in secrets if secret in log.getvalue()] == []


@pytest.mark.usefixtures("client")  # starts the app, which makes its sessions then
async def test_an_error_of_the_database_tells_no_values(db_session: AsyncSession, app: FastAPI) -> None:
    session_maker = app.state.resources.session_maker
    async with session_maker() as session:
        session.add(User(email="ada@example.org", name=" ", password_hash="$argon2id$secret"))
        with pytest.raises(Exception, match="ck_users_name_not_blank") as caught:
            await session.flush()

    assert "SQL parameters hidden" in str(caught.value)
