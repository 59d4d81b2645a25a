"""Parameters of the server and the locale of its databases, by options."""

from __future__ import annotations

import re

import pytest

from tests.support.engine import ENGINE
from tests.support.project import Project

INI = """
[pytest]
pg_env = DATABASE_URL={url}
pg_sql = schema.sql
pg_server_settings =
    work_mem = 7MB
    timezone=Europe/Berlin
"""
TESTS = """
import os
import psycopg

def ask(sql):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return connection.execute(sql).fetchone()[0]

def test_settings():
    assert (ask("SHOW work_mem"), ask("SHOW timezone")) == ("7MB", "Europe/Berlin")

def test_locale():
    assert ask("SELECT datcollate FROM pg_database WHERE datname = current_database()") == "C.UTF-8"
"""


@pytest.fixture
def adopter(empty_project: Project) -> Project:
    empty_project.url = ""
    empty_project.write("pytest.ini", INI)
    empty_project.write("schema.sql", "CREATE TABLE item (id int)")
    empty_project.write("test_it.py", TESTS)
    return empty_project


@pytest.mark.parametrize(
    "backend",
    [
        "local",
        pytest.param(
            "container", marks=pytest.mark.skipif(ENGINE is None, reason="no Docker engine answers")
        ),
    ],
)
def test_they_hold_on_every_backend_that_the_harness_starts(adopter: Project, backend: str) -> None:
    result = adopter.pytest(f"--pg-backend={backend}")

    assert result.outcomes == {"passed": 2}, result.output


def test_a_server_that_somebody_else_runs_has_its_own(adopter: Project) -> None:
    result = adopter.pytest("--pg-url=postgresql://ann@127.0.0.1:1/postgres")

    assert result.code == 4
    assert result.output.rstrip().endswith(
        "ERROR: pgharness: pg_server_settings (ini) cannot be set on the server of pg_url.\n"
        "Somebody else runs it, and others use it.\n"
        "To fix this, either:\n"
        "  - set them there, and drop them here\n"
        "  - set in a migration what a database can have of its own"
    ), result.output


def test_a_line_that_is_no_setting(adopter: Project) -> None:
    adopter.write("pytest.ini", "[pytest]\npg_server_settings = work_mem\n")

    result = adopter.pytest()

    assert result.output.rstrip().endswith(
        "ERROR: pgharness: pg_server_settings has the line 'work_mem' (ini), which is not NAME=VALUE.\n"
        'To fix this: write it like "shared_preload_libraries=pg_stat_statements"'
    ), result.output


def test_a_locale_that_the_server_has_not(adopter: Project) -> None:
    result = adopter.pytest("--pg-backend=local", "--pg-locale=xx_YY.UTF-8")

    said = re.sub("invalid (?:LC_COLLATE )?locale name", "invalid locale name", result.output)
    assert (
        "pgharness: the server has no locale 'xx_YY.UTF-8' (pg_locale): "
        'invalid locale name: "xx_YY.UTF-8"\n'
        "Locales are those of the machine, or of the image, on which PostgreSQL runs.\n"
        "To fix this, either:\n"
        "  - name one that `locale -a` shows there\n"
        "  - drop pg_locale\n"
        "  - take an image that has it: --pg-image"
    ) in said, result.output
