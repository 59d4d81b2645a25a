"""What belongs to no route, and what the document says of those there are."""

import difflib
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service import openapi

SNAPSHOT = Path(__file__).with_name("openapi.json")


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


async def test_all_methods_of_a_path_are_named_even_if_they_have_routes_of_their_own(
    client: AsyncClient,
) -> None:
    response = await client.put("/api/v1/tasks/00000000-0000-0000-0000-000000000000")

    assert (response.status_code, response.headers["allow"]) == (405, "DELETE, GET, PATCH")


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_the_documentation_is_served(client: AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


def test_the_document_is_the_one_that_was_accepted() -> None:
    diff = "".join(
        difflib.unified_diff(
            SNAPSHOT.read_text(encoding="utf-8").splitlines(keepends=True),
            openapi.document().splitlines(keepends=True),
            "accepted",
            "now",
        )
    )

    assert not diff, f"the OpenAPI document has changed; if that is meant: ./dev openapi\n{diff}"


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
