"""Each way to get it wrong ends the run at once, with one sentence and exit code 4."""

from __future__ import annotations

import pytest

from tests.integration.pgharness.conftest import MakeProject
from tests.support.project import Project, Result

MIGRATION = """
revision = "{revision}"
down_revision = {down}

from alembic import op

def upgrade(): op.execute("{sql}")
def downgrade(): pass
"""


def usage_error(result: Result) -> str:
    """The one error of a run that has not begun, without pytest's own lines."""
    assert result.code == 4, result.output
    assert result.output.count("ERROR: ") == 1, result.output
    assert "INTERNALERROR" not in result.output
    return result.output[result.output.index("ERROR: ") + 7 :].strip()


def with_migrations(adopter: Project, **files: str) -> Project:
    adopter.write("alembic.ini", "[alembic]\nscript_location = migrations\n")
    adopter.write(
        "migrations/env.py",
        "from alembic import context\nfrom sqlalchemy import create_engine\n"
        "with create_engine(context.config.get_main_option('sqlalchemy.url')).connect() as connection:\n"
        "    context.configure(connection=connection)\n"
        "    with context.begin_transaction(): context.run_migrations()\n",
    )
    for name, text in files.items():
        adopter.write(f"migrations/versions/{name}.py", text)
    return adopter


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_failing_migration_is_shown_once(project: MakeProject, workers: str) -> None:
    adopter = with_migrations(
        project("tiers"),
        first=MIGRATION.format(revision="a1", down=None, sql="CREATE TABLE a (x int)"),
        second=MIGRATION.format(revision="b2", down="'a1'", sql="CREATE TABLE a (y int)"),
    )

    error = usage_error(adopter.pytest("-n", workers))

    assert "b2" in error
    assert "CREATE TABLE a (y int)" in error
    assert 'relation "a" already exists' in error


def test_two_heads(project: MakeProject) -> None:
    adopter = with_migrations(
        project("tiers"),
        first=MIGRATION.format(revision="a1", down=None, sql="SELECT 1"),
        second=MIGRATION.format(revision="b2", down=None, sql="SELECT 1"),
    )

    error = usage_error(adopter.pytest())

    assert "a1" in error
    assert "b2" in error
    assert "alembic merge" in error


@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_app_that_does_not_import(project: MakeProject, workers: str) -> None:
    error = usage_error(project("tiers").pytest("-n", workers, "--pg-app=shopp:app"))

    first, *rest = error.splitlines()
    assert first == (
        "pgharness: pg_app = 'shopp:app' (command line) cannot be imported: "
        "ModuleNotFoundError: No module named 'shopp'"
    )
    assert '  - name it as module:attribute, as in "service.app:create_app"' in rest


def test_an_object_that_is_no_app(project: MakeProject) -> None:
    error = usage_error(project("tiers").pytest("--pg-app=os:environ"))

    assert error == (
        "pgharness: pg_app = 'os:environ' is a _Environ, not an ASGI application.\n"
        "To fix this: name a FastAPI or Starlette application, or a function without arguments that makes one"
    )


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (
            "--pg-backend=docker",
            "pgharness: pg_backend = 'docker' (--pg-backend) is not valid.\n"
            "To fix this: use one of: auto, container, local, external",
        ),
        (
            "--pg-isolation=rolback",
            "pgharness: pg_isolation = 'rolback' (--pg-isolation) is not valid (did you mean 'rollback'?).\n"
            "To fix this: use one of: auto, rollback, database",
        ),
        (
            "--pg-start-timeout=soon",
            "pgharness: pg_start_timeout = 'soon' (--pg-start-timeout) is not valid.\n"
            "To fix this: use a number of seconds greater than zero",
        ),
        (
            "--pg-env=DATABASE_URL={dsn}",
            "pgharness: pg_env has the line 'DATABASE_URL={dsn}', in which 'dsn' is not a known value.\n"
            "To fix this: use one of: {url} {asyncpg_url} {psycopg_url} {psycopg2_url} {host} {port} {user} "
            "{password} {database} {sslrootcert}",
        ),
    ],
)
def test_a_wrong_value_is_a_usage_error_of_two_lines(
    empty_project: Project, option: str, sentence: str
) -> None:
    assert usage_error(empty_project.pytest(option)) == sentence


def test_a_marker_with_wrong_arguments(project: MakeProject) -> None:
    adopter = project("tiers")
    adopter.write(
        "tests/api/test_price.py",
        "import pytest\n@pytest.mark.pg(isolation='none')\ndef test_x(pg_database): pass\n",
    )

    assert usage_error(adopter.pytest()) == (
        "pgharness: tests/api/test_price.py::test_x: @pytest.mark.pg(isolation='none') is not valid.\n"
        "To fix this: use one of: auto, rollback, database"
    )


def test_a_dead_server(project: MakeProject) -> None:
    adopter = project("tiers")
    adopter.url = "postgresql://postgres:secret-word@127.0.0.1:9/postgres"

    error = usage_error(adopter.pytest())

    assert "127.0.0.1:9" in error
    assert "secret-word" not in error
