"""The operations of the service, as its OpenAPI document has them: for tests that hold for every route."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

SNAPSHOT = Path(__file__).with_name("openapi.json")
DOCUMENT: dict[str, Any] = json.loads(SNAPSHOT.read_text(encoding="utf-8"))

OPERATIONS = [
    (method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations
]


def operation(method: str, path: str) -> dict[str, Any]:
    found: dict[str, Any] = DOCUMENT["paths"][path][method.lower()]
    return found


def is_protected(method: str, path: str) -> bool:
    """Whether the document says that the operation needs a token."""
    return "security" in operation(method, path)


def filled(path: str) -> str:
    """The path with an id in place of each parameter; nothing has that id."""
    while "{" in path:
        path = f"{path.partition('{')[0]}{UUID(int=0)}{path.partition('}')[2]}"
    return path


def needed(method: str, path: str) -> dict[str, str]:
    """A value for each parameter of the query that the operation does not do without."""
    parameters = operation(method, path).get("parameters", ())
    return {each["name"]: "x" for each in parameters if each["in"] == "query" and each["required"]}
