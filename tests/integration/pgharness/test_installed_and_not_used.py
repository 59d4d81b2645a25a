"""A suite that has its own fixtures and no pg_ option runs as if the plugin were not installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project import Project

OWN_FIXTURES = """
import pytest

@pytest.fixture
def client():
    return "of the project"

@pytest.fixture
def db_session(client):
    return "of the project"
"""
TEST = """
import socket

def test_own_fixtures(client, db_session):
    assert client == db_session == "of the project"
    with socket.socket() as own:
        assert own.connect_ex(("127.0.0.1", 9)) != 0
"""


@pytest.fixture
def suite(tmp_path: Path) -> Project:
    """Fixtures named as the harness's are, and directories named as its tiers are; no server to be had."""
    found = Project(tmp_path)
    found.write("conftest.py", OWN_FIXTURES)
    found.write("alembic.ini", "[alembic]\nscript_location = missing\n")
    for tier in ("unit", "integration", "api"):
        found.write(f"tests/{tier}/test_{tier}.py", TEST)
    return found


@pytest.mark.parametrize("workers", ["0", "2"])
def test_own_fixtures_of_the_same_names_and_directories_of_tests_are_left_alone(
    suite: Project, workers: str
) -> None:
    result = suite.pytest("-n", workers, "--strict-markers")

    assert (result.code, result.outcomes) == (0, {"passed": 3}), result.output
    assert result.line("pg:") == ""


@pytest.mark.parametrize("option", ["", "pg_tiers = integration\n    api\n"])
def test_an_option_does_not_make_directories_tiers(suite: Project, option: str) -> None:
    suite.write("pytest.ini", f"[pytest]\npg_migrations = none\n{option}")
    suite.write("conftest.py", "")

    result = suite.pytest("tests/unit", "-k", "unit")

    assert result.code == 1
    assert "fixture 'client' not found" in result.output or "pg_app" in result.output
    assert "is a unit test" not in result.output


@pytest.mark.parametrize("root", [(), ("--rootdir=tests",), ("--rootdir=/",)])
def test_pg_tiers_does_whatever_rootdir_is(suite: Project, root: tuple[str, ...]) -> None:
    suite.write("pytest.ini", "[pytest]\npg_tiers = unit\n")

    result = suite.pytest("tests/unit", "-c", "pytest.ini", *root)

    assert result.code == 1
    assert "::test_own_fixtures is a unit test and tried to connect to 127.0.0.1:9." in result.output


LOOK = """
import os, signal, socket, pytest

def pytest_configure(config):
    names = {name for name, _ in config.pluginmanager.list_name_plugin()}
    assert not {name for name in names if name.startswith("pgharness-")}
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert "DATABASE_URL" not in os.environ

def pytest_collection_finish(session):
    assert not [fd for fd in os.listdir("/proc/self/fd") if is_socket(fd)]

def is_socket(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
    except OSError:
        return False
"""


def test_a_variable_of_the_environment_alone_is_no_adoption(suite: Project) -> None:
    """No hook, no fixture, no signal handler, no socket, no variable; and a wrong value is not looked at."""
    suite.write("conftest.py", OWN_FIXTURES + LOOK)

    result = suite.pytest(
        "-p", "no:asyncio", "-p", "no:anyio", PGHARNESS_ENV="DATABASE_URL={url}", PGHARNESS_PORT="no number"
    )

    assert (result.code, result.outcomes) == (0, {"passed": 3}), result.output


def test_an_override_that_builds_on_the_fixture_of_the_harness_asks_for_the_database(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.write("pytest.ini", "[pytest]\npg_tiers = unit\n")
    project.write("conftest.py", "import pytest\n@pytest.fixture\ndef client(client):\n    return client\n")
    project.write("tests/unit/test_x.py", "def test_x(client):\n    pass\n")

    result = project.pytest()

    assert result.code == 4
    assert "  - tests/unit/test_x.py::test_x asks for 'client'" in result.lines
