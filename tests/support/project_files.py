"""The project's own files, read for the tests that hold them against each other."""

from __future__ import annotations

import ast
import re
import textwrap
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PYTHON = (
    "noxfile.py",
    *(f"{top}/**/*.py" for top in ("src", "service", "tests", "truth", "benchmarks", "docs", "migrations")),
)


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def pyproject() -> dict[str, Any]:
    return tomllib.loads(text("pyproject.toml"))


def tiers() -> list[str]:
    """The directories below tests/ that have a README: the tiers."""
    return sorted(path.parent.name for path in ROOT.glob("tests/*/README.md"))


def sessions() -> dict[str, bool]:
    """The sessions of the noxfile, and whether plain `nox` runs them."""
    found = {}
    for node in ast.parse(text("noxfile.py")).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        for decorator in node.decorator_list:
            if ast.unparse(decorator).startswith("nox.session"):
                found[node.name] = "default=False" not in ast.unparse(decorator)
    return found


def pages() -> list[Path]:
    """Every page of prose that is written for readers of the repository."""
    return [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        *sorted(ROOT.glob("docs/**/*.md")),
    ]


def sources() -> list[Path]:
    """Every Python file that is written here."""
    return sorted(path for part in PYTHON for path in ROOT.glob(part))


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(name: str, language: str) -> list[str]:
    """The code blocks of a language on a page, in their order, without the indentation of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text(name), re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]
