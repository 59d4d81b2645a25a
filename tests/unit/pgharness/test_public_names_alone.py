"""Of drivers, SQLAlchemy and asyncio the package touches what they document, and nothing private."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.imports import modules

OWN = {"self", "cls"}
ALLOWED: dict[str, set[str]] = {
    # pytest: no public way to look at overrides of fixtures or to order them, nor at a class of a process
    "pgharness.runs.database_use": {"_fixtureinfo"},
    # pytest: no public way to tear down a test and not its module, nor to have a node as it was
    "pgharness.runs.attempts": {"_setupstate"},
    "pgharness.runs.before": {"_storage", "_markers"},
    # our own transport and client, of this package
    "pgharness.fixtures.clients": {"_transport"},
    "pgharness.proxy.core.client": {"_place"},
    # the interpreter's, and documented: what another thread is at
    "pgharness.runs.threads": {"_current_frames"},
    # the interpreter's: inspect.stack() would read every source file
    "pgharness.runs.origin": {"_getframe"},
    # testcontainers: the container that it holds has no public name
    "pgharness.server.container": {"_container"},
    # an asyncio loop that is a subclass of our own, which knows its connections
    "pgharness.web.serving": {"_make_socket_transport"},
}
"""By module, the names that are read of something else than the object itself, with the reason."""


def private(path: Path) -> Iterator[tuple[int, str]]:
    """The private attributes that are asked of anything but the object, or the class, at hand."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.endswith("__"):
            continue
        value = node.value
        if isinstance(value, ast.Name) and value.id in OWN:
            continue
        yield node.lineno, node.attr


@pytest.mark.parametrize("module", modules())
def test_no_private_attribute_of_anybody_else(module: str) -> None:
    found = [(line, name) for line, name in private(modules()[module]) if name not in ALLOWED.get(module, ())]

    assert found == []


def test_every_exception_is_needed() -> None:
    used = {name: {attribute for _, attribute in private(path)} for name, path in modules().items()}

    assert {name: names - used[name] for name, names in ALLOWED.items() if names - used[name]} == {}
