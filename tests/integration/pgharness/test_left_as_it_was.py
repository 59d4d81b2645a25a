"""What a test does to the process it shares with others, and what a conftest does to the environment."""

from __future__ import annotations

from tests.support.project import Project

INI = """
[pytest]
pg_env = DATABASE_URL={url}
pg_migrations = none
"""
LOGGING = """
import logging, logging.config
import pytest

LOG = logging.getLogger("app")
LOG.setLevel(logging.INFO)

@pytest.mark.parametrize("again", [1, 2])
def test_caplog_hears_what_is_said(caplog, again):
    LOG.info("said")
    assert caplog.messages == ["said"]
    assert not LOG.handlers and LOG.propagate and LOG.level == logging.INFO
    logging.config.dictConfig({"version": 1, "root": {"level": "ERROR", "handlers": []}})
    LOG.propagate = False
    LOG.addHandler(logging.NullHandler())
    logging.disable()
    LOG.warning("not heard")
    assert caplog.messages == ["said"]
"""


def test_loggers_are_given_back(empty_project: Project) -> None:
    empty_project.write("pytest.ini", INI)
    empty_project.write("test_it.py", LOGGING)

    result = empty_project.pytest()

    assert result.outcomes == {"passed": 2}, result.output


def test_a_conftest_that_sets_what_pg_env_has_set_is_named(empty_project: Project) -> None:
    empty_project.write("pytest.ini", INI)
    empty_project.write("conftest.py", "import os\nos.environ['DATABASE_URL'] = 'postgresql://elsewhere/x'\n")
    empty_project.write("test_it.py", "def test_it():\n    pass\n")

    result = empty_project.pytest()

    assert result.line("pg: ") == (
        "pg: DATABASE_URL of pg_env has another value by now: a conftest, or a module that is imported, "
        "sets it, and the app may connect elsewhere"
    )
