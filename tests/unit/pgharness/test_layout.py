"""Where modules lie, and which way they import: see the folders of the package from the top down."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support import project_files
from tests.support.imports import imports, loaded, modules

FLOORS = (
    ("errors",),
    ("config",),
    ("server",),
    ("schema",),
    ("databases",),
    ("proxy",),
    ("fixtures", "runs", "web", "tiers", "report"),
    ("hooks",),
    ("plugin", "cli", "live"),  # live is a name that goes away
)
"""From the lowest up: a folder imports from its own floor and from those below."""
HEAVY = {
    *("alembic", "asyncpg", "docker", "httpcore2", "httpx", "httpx2", "psycopg", "respx", "sqlalchemy"),
    *("starlette", "testcontainers", "uvicorn"),
}
MOST_LINES = 299
MODULES = modules()
FOLDERS = [name for name, path in MODULES.items() if path.name == "__init__.py"]


def folder(module: str) -> str:
    """The folder of ``module``, or the module itself if it lies in none; empty for the package."""
    return module.partition(".")[2].partition(".")[0]


def floor(module: str) -> int:
    return next(number for number, names in enumerate(FLOORS) if folder(module) in names)


def own(path: Path) -> set[str]:
    return {name for name in imports(path) if name.partition(".")[0] == "pgharness"}


def test_every_module_lies_on_a_floor() -> None:
    known = {name for names in FLOORS for name in names}

    assert {folder(module) for module in MODULES} - known == {""}


@pytest.mark.parametrize("module", [name for name in MODULES if folder(name)])
def test_imports_run_one_way(module: str) -> None:
    upward = {name for name in own(MODULES[module]) if folder(name) and floor(name) > floor(module)}

    assert upward == set()


def test_the_package_itself_imports_nothing_of_its_own() -> None:
    assert own(MODULES["pgharness"]) == set()


def test_the_core_of_the_proxy_imports_nothing_of_the_rest() -> None:
    core = modules("pgharness.proxy.core")
    outside = {name for path in core.values() for name in own(path)} - core.keys()

    assert outside == set()


@pytest.mark.parametrize("module", [*FOLDERS, "pgharness.plugin"])
def test_what_is_heavy_is_loaded_when_first_needed(module: str) -> None:
    assert {name.partition(".")[0] for name in loaded(module)} & HEAVY == set()


def test_the_package_needs_nothing_but_python() -> None:
    """Processes without site-packages import it: they start faster, and no project's code is in the way."""
    needed = {name.partition(".")[0] for name in loaded("pgharness")} - {"pgharness"}

    assert needed <= sys.stdlib_module_names


@pytest.mark.parametrize("module", MODULES)
def test_a_file_can_be_read_in_one_go(module: str) -> None:
    assert len(MODULES[module].read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_service_and_the_package_do_not_know_each_other() -> None:
    of_package = {top for path in MODULES.values() for top in tops(path)}
    of_service = {top for path in (project_files.ROOT / "service").rglob("*.py") for top in tops(path)}

    assert "service" not in of_package
    assert "pgharness" not in of_service


def tops(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}
