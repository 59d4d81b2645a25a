"""What belongs to no route, and what the document says of those there are."""

from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient


async def test_an_unknown_path_is_a_problem_too(client: AsyncClient) -> None:
    response = await client.get("/api/v1/nothing")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Not Found",
        "instance": "/api/v1/nothing",
    }


async def test_a_method_that_a_path_does_not_have_is_a_problem_that_names_those_it_has(
    client: AsyncClient,
) -> None:
    response = await client.put("/health")

    assert response.status_code == 405
    assert response.headers["allow"] == "GET"
    assert response.json() == {
        "type": "about:blank",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "Method Not Allowed",
        "instance": "/health",
    }


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_documentation_is_served(client: AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


def operations(document: dict[str, Any]) -> dict[str, set[str]]:
    return {
        f"{method.upper()} {path}": set(operation["responses"])
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


def test_the_document_names_every_status_that_a_route_answers_with(app: FastAPI) -> None:
    assert operations(app.openapi()) == {
        "GET /health": {"200"},
        "GET /ready": {"200", "503"},
        "POST /api/v1/auth/token": {"200", "401", "422", "429"},
        "POST /api/v1/auth/refresh": {"200", "401", "422", "429"},
        "POST /api/v1/auth/logout": {"204", "422", "429"},
        "GET /api/v1/admin/users": {"200", "401", "403", "422"},
        "POST /api/v1/users": {"201", "409", "422", "429"},
        "GET /api/v1/users": {"200", "401", "422"},
        "GET /api/v1/users/me": {"200", "401"},
        "PUT /api/v1/users/me/password": {"204", "401", "403", "422", "429"},
        "POST /api/v1/tasks": {"201", "401", "409", "422"},
        "GET /api/v1/tasks": {"200", "401", "422"},
        "GET /api/v1/tasks/{task_id}": {"200", "401", "404", "422"},
        "PATCH /api/v1/tasks/{task_id}": {"200", "401", "404", "422"},
        "DELETE /api/v1/tasks/{task_id}": {"204", "401", "404", "422"},
    }


def test_every_failure_is_documented_as_a_problem(app: FastAPI) -> None:
    failures = [
        (response, problem)
        for methods in app.openapi()["paths"].values()
        for operation in methods.values()
        for response, problem in operation["responses"].items()
        if response >= "400"
    ]

    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    assert [content["content"] for _, content in failures] == [problem] * len(failures)
