"""What belongs to no route, and what the document says of those there are."""

import difflib
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from service import openapi
from tests.api.service.documented import SNAPSHOT


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


def test_the_command_that_accepts_a_document_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "openapi.json"

    assert (openapi.main([str(file)]), openapi.main([])) == (0, 0)

    assert file.read_text(encoding="utf-8") == capsys.readouterr().out == openapi.document()


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
