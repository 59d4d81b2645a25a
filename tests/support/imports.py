"""The imports of the package's own modules, read from their source; nothing is imported for it."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from tests.support import project_files

SOURCE = project_files.ROOT / "src"


def modules(package: str = "pgharness") -> dict[str, Path]:
    """The modules of ``package``, a package by its own name, and the files they are in."""
    found = {}
    for path in sorted((SOURCE / package.replace(".", "/")).rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path, *, inside: bool = True) -> set[str]:
    """What the file imports, absolutely; ``inside`` functions and for type checkers too, or not."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {name for node in (ast.walk(tree) if inside else _at_once(tree)) for name in _names(node)}


def loaded(module: str) -> set[str]:
    """What importing ``module`` loads at once: its imports, those of its packages, and theirs in turn."""
    known, waiting, seen = modules(), [module], set[str]()
    while waiting:
        name = waiting.pop()
        for parent in _with_parents(name):
            if parent not in seen:
                seen.add(parent)
                waiting += imports(known[parent], inside=False) if parent in known else ()
    return seen


def _with_parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _at_once(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs when the module is imported."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
            continue
        yield node
        waiting += ast.iter_child_nodes(node)


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports are not used here"
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in _own() else str(node.module)


@functools.cache
def _own() -> frozenset[str]:
    return frozenset(modules())
