"""A body that is too large is refused, before all of it has come."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service.models import User

LIMIT = 1_048_576
JSON = {"Content-Type": "application/json"}
PROBLEM = {
    "type": "tag:task-board.example,2026:problems/body-too-large",
    "title": "Request body too large",
    "status": 413,
    "detail": "The body of a request may have at most 1048576 bytes.",
}


class Chunks:
    """A body without a Content-Length, which counts how much of it was asked for."""

    def __init__(self, number: int, size: int = 65_536) -> None:
        self.number, self.size, self.sent = number, size, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.number):
            self.sent += 1
            yield b" " * self.size


@pytest.fixture(autouse=True)
def logged_in(as_user: Callable[[User], None], ada: User) -> None:
    as_user(ada)


@pytest.mark.parametrize("path", ["/api/v1/tasks", "/api/v1/users", "/health"])
async def test_a_body_whose_length_is_too_large_is_refused_unread(client: AsyncClient, path: str) -> None:
    body = Chunks(17)

    response = await client.post(path, content=body, headers={**JSON, "Content-Length": str(LIMIT + 1)})

    assert (response.status_code, response.json()) == (413, {**PROBLEM, "instance": path})
    assert response.headers["content-type"] == "application/problem+json"
    assert body.sent == 0


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/v1/tasks", JSON),
        ("/api/v1/auth/token", {"Content-Type": "application/x-www-form-urlencoded"}),
    ],
)
async def test_a_body_of_unknown_length_is_refused_once_it_is_too_large(
    client: AsyncClient, path: str, kind: dict[str, str]
) -> None:
    body = Chunks(1000)

    response = await client.post(path, content=body, headers=kind)

    assert (response.status_code, response.json()) == (413, {**PROBLEM, "instance": path})
    assert body.sent == LIMIT // body.size + 1


async def test_a_body_of_just_the_limit_is_read(client: AsyncClient) -> None:
    body = b'{"title": "As long as it may be"}'.ljust(LIMIT)

    response = await client.post("/api/v1/tasks", content=body, headers=JSON)

    assert response.status_code == 201


async def test_a_length_that_is_no_number_is_not_believed(app: FastAPI) -> None:
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/health",
        "raw_path": b"/health",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"content-length", b"many")],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)

    assert sent[0]["status"] == 405
