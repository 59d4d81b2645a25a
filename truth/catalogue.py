"""The behaviours, as their files tell: read, not imported, so that any Python can list them."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

DIRECTORY = Path(__file__).parent / "behaviours"
FILES = (
    *("test_commits", "test_sessions", "test_past_the_session", "test_connections"),
    "test_rules",
    "test_between_tests",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Behaviour:
    """One line of the table.

    ``title`` and ``note`` are the first line and the rest of the test's docstring, ``group`` the
    first line of its file's. ``loops`` is how long a test's event loop lives.
    """

    name: str
    title: str
    note: str
    group: str
    loops: str


def behaviours() -> list[Behaviour]:
    """All of them, in the order of the table."""
    return [behaviour for file in FILES for behaviour in _read(DIRECTORY / f"{file}.py")]


def _read(path: Path) -> list[Behaviour]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    group = (ast.get_docstring(tree) or "").splitlines()[0]
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            title, _, note = (ast.get_docstring(node) or "").partition("\n")
            marks = [ast.unparse(decorator) for decorator in node.decorator_list]
            loops = "function" if "pytest.mark.loops('function')" in marks else "session"
            found.append(
                Behaviour(node.name.removeprefix("test_"), title, " ".join(note.split()), group, loops)
            )
    return found
