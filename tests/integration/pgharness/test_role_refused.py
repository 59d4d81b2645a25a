"""What is said where the role of the app cannot be had, or may not do what a superuser may."""

from __future__ import annotations

import pytest

from pgharness.server.base import Server
from tests.support.project import Project
from tests.support.role_projects import HEAD, MARKS, write_into
from tests.support.schema_projects import execute


@pytest.fixture
def adopter(empty_project: Project) -> Project:
    return write_into(empty_project)


def test_a_role_that_nobody_makes(adopter: Project) -> None:
    adopter.write("test_it.py", HEAD + "def test_it(pg_database): pass")

    result = adopter.pytest("test_it.py", "--pg-role=nobody")

    where = adopter.url.rpartition("@")[2].partition("/")[0]
    assert result.code == 4
    assert result.output.rstrip().endswith(
        f"ERROR: pgharness: there is no role 'nobody' on {where} after the schema has been built (pg_role).\n"
        "To fix this, either:\n"
        "  - create it in a migration, or in a file of pg_sql\n"
        "  - drop pg_role: the app connects as the owner of its database then"
    ), result.output


@pytest.mark.parametrize("mark", MARKS)
def test_a_test_that_fails_only_for_that_says_so(adopter: Project, mark: str) -> None:
    code = """
def test_it(pg_database):
    ask("SELECT 1", "SET session_replication_role = replica")

def test_another(pg_database):
    assert False
"""
    adopter.write("test_it.py", HEAD + mark + code)

    result = adopter.pytest("test_it.py")

    section = (
        'PostgreSQL refused: permission denied to set parameter "session_replication_role"\n'
        "The app and its tests connect as role 'pgharness_app', which is no superuser, as in production.\n"
        "Where a test has to be one: pg_server.url is a superuser's address. "
        'If the app is one in production: pg_role = "postgres"\n'
    )
    assert result.outcomes == {"failed": 2}, result.output
    assert result.output.count(section) == 1, result.output


def test_a_schema_that_needs_a_superuser(adopter: Project) -> None:
    adopter.write(
        "schema.sql",
        "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';\n"
        "CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION f();",
    )
    adopter.write("test_it.py", HEAD + "def test_it(pg_database): pass")

    result = adopter.pytest("test_it.py")

    assert result.code == 4
    assert result.output.rstrip().endswith(
        'ERROR: pgharness: schema.sql, line 2, failed: permission denied to create event trigger "e" '
        "(Must be superuser to create an event trigger.)\n"
        "SQL: CREATE EVENT TRIGGER e ON sql_drop EXECUTE FUNCTION f()\n"
        "To fix this, either:\n"
        "  - mend schema.sql\n"
        '  - if the role that runs it in production is a superuser, name one: pg_role = "postgres"'
    ), result.output


def test_an_extension_that_needs_one_is_created_before(adopter: Project) -> None:
    adopter.write("schema.sql", "CREATE EXTENSION dblink;")
    adopter.write("test_it.py", HEAD + "def test_it(pg_database):\n    assert ask('SELECT 1') == [1]")

    refused = adopter.pytest("test_it.py")
    adopter.write("schema.sql", "CREATE EXTENSION IF NOT EXISTS dblink; CREATE EXTENSION pg_trgm;")
    served = adopter.pytest("test_it.py", "--pg-extensions=dblink")

    assert '  - have the harness create the extension before: pg_extensions = ["dblink"]' in refused.lines
    assert served.code == 0, served.output


@pytest.mark.pg(allow_hosts=["127.0.0.1"])
def test_a_server_whose_user_is_no_superuser(adopter: Project, server: Server) -> None:
    execute(server.address, "postgres", "CREATE ROLE ann LOGIN CREATEDB PASSWORD 'hers'")
    ann = Project(adopter.path, server.address.url().replace(server.address.password, "hers"))
    ann.url = ann.url.replace("//postgres:", "//ann:")
    ann.write("schema.sql", "CREATE TABLE note (id int);")
    ann.write(
        "test_it.py", HEAD + "def test_it(pg_database): assert ask('SELECT current_user::text') == ['ann']"
    )

    served, refused = ann.pytest("test_it.py"), ann.pytest("test_it.py", "--pg-role=reader")

    assert served.code == 0, served.output
    assert ", the app connects as 'ann'" in served.line("pg: "), served.output
    assert refused.output.rstrip().endswith(
        "ERROR: pgharness: the app cannot connect as role 'reader' (pg_role) on "
        f"127.0.0.1:{server.address.port}: user 'ann' is no superuser.\n"
        "Only a superuser may let another role in without its password.\n"
        "To fix this, either:\n"
        "  - drop pg_role: the app connects as that user then\n"
        "  - name a superuser in --pg-url"
    ), refused.output
