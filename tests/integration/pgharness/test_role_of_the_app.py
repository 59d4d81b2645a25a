"""The app connects as a role that is no superuser and owns its database, as in production."""

from __future__ import annotations

import pytest

from pgharness.server.base import Server
from tests.support.project import Project
from tests.support.schema_projects import execute

INI = """
[pytest]
pg_app = app:app
pg_env = DATABASE_URL={psycopg_url}
pg_sql = schema.sql
pythonpath = .
asyncio_mode = auto
"""
SCHEMA = """
CREATE TABLE note (id serial PRIMARY KEY, tenant text NOT NULL, body text NOT NULL);
INSERT INTO note (tenant, body) VALUES ('a', 'of a'), ('b', 'of b');
ALTER TABLE note ENABLE ROW LEVEL SECURITY;
ALTER TABLE note FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON note USING (tenant = current_setting('app.tenant', true));
CREATE TABLE closed (id int);
INSERT INTO closed VALUES (1);
ALTER TABLE closed ENABLE ROW LEVEL SECURITY;
ALTER TABLE closed FORCE ROW LEVEL SECURITY;
DO $$BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reader') THEN
        CREATE ROLE reader LOGIN PASSWORD 'of the reader';
        ALTER ROLE reader SET work_mem = '7MB';
    END IF;
END$$;
CREATE TABLE secret (id int);
CREATE SEQUENCE ticket;
"""
APP = """
import os
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

URL = os.environ["DATABASE_URL"]
engine = create_engine(URL, poolclass=NullPool)
app = object()

def ask(sql, *before, engine=engine):
    with engine.begin() as connection:
        for statement in before:
            connection.execute(text(statement))
        return connection.execute(text(sql)).scalars().all()

def error(sql, engine=engine):
    try:
        with engine.begin() as connection:
            connection.execute(text(sql))
    except Exception as error:
        return str(error.orig).splitlines()[0]
"""
HEAD = "import pytest\nfrom app import *\n\n"
MARKS = ["", 'pytestmark = pytest.mark.pg(isolation="database")\n']
"""Rollback, and real commits."""


@pytest.fixture
def adopter(empty_project: Project) -> Project:
    empty_project.write("pytest.ini", INI)
    empty_project.write("schema.sql", SCHEMA)
    empty_project.write("app.py", APP)
    return empty_project


def passes(adopter: Project, code: str, *options: str) -> None:
    adopter.write("test_it.py", HEAD + code)
    result = adopter.pytest("test_it.py", *options)
    assert result.code == 0, result.output


@pytest.mark.parametrize("mark", MARKS)
def test_row_security_and_grants_hold(adopter: Project, mark: str) -> None:
    passes(
        adopter,
        mark
        + """
def test_policies(pg_database):
    assert ask("SELECT body FROM note", "SELECT set_config('app.tenant', 'a', true)") == ["of a"]
    assert ask("SELECT body FROM note") == []
    assert ask("SELECT id FROM closed") == []
    assert "violates row-level security policy" in error("INSERT INTO note (tenant, body) VALUES ('a', 'x')")

def test_who_it_is(pg_database):
    assert ask("SELECT current_user::text") == ask("SELECT session_user::text") == ["pgharness_app"]
    assert ask("SHOW is_superuser") == ["off"]
    assert ask("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user") == [False]
    assert ask("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()") == [
        "pgharness_app"
    ]
    assert ask("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'") == ["pgharness_app"]

@pytest.mark.parametrize("sql, says", [
    ("SET session_replication_role = replica", "permission denied to set parameter"),
    ("SET SESSION AUTHORIZATION postgres", "permission denied to set session authorization"),
    ("SELECT set_config('session_authorization', 'postgres', true)", "permission denied to set"),
    ("DO 'BEGIN SET SESSION AUTHORIZATION postgres; END'", "permission denied to set"),
    ("SET SESSION AUTHORIZATION reader", "permission denied to set session authorization"),
    ("SELECT count(*) FROM pg_authid", "permission denied for table pg_authid"),
    ("CREATE TABLE pg_catalog.mine ()", "permission denied"),
])
def test_what_only_a_superuser_may(pg_database, sql, says):
    assert error(sql).startswith(says)

@pytest.mark.parametrize("back", ["RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT",
                                  "RESET ROLE", "RESET ALL", "SET SESSION AUTHORIZATION pgharness_app"])
def test_the_way_back_leads_to_itself(pg_database, back):
    assert ask("SELECT current_user::text", back) == ["pgharness_app"]

def test_discarding_all(pg_database):
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("DISCARD ALL"))
        assert connection.execute(text("SELECT current_user::text")).scalar() == "pgharness_app"
""",
    )


@pytest.mark.parametrize("mark", MARKS)
def test_a_second_login_beside_it(adopter: Project, mark: str) -> None:
    adopter.write(
        "pytest.ini", INI.replace("{psycopg_url}", "{psycopg_url}\n    READER={host}:{port}/{database}")
    )
    passes(
        adopter,
        mark
        + """
reader = create_engine(
    "postgresql+psycopg://reader:of the reader@" + os.environ["READER"], poolclass=NullPool
)

def test_it_is_somebody_else(pg_database):
    assert ask("SELECT current_user::text", engine=reader) == ["reader"]
    assert error("SELECT * FROM secret", engine=reader) == "permission denied for table secret"
    assert error("SET SESSION AUTHORIZATION pgharness_app", engine=reader) == (
        "permission denied to set session authorization"
    )
    ask("SELECT 1", "GRANT SELECT ON secret TO reader", "INSERT INTO secret VALUES (7)")
    assert ask("SELECT id FROM secret", engine=reader) == [7]

@pytest.mark.parametrize("back", ["RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT",
                                  "SET SESSION AUTHORIZATION reader", "RESET ROLE", "RESET ALL"])
def test_the_way_back_leads_to_itself(pg_database, back):
    assert ask("SELECT current_user::text", back, engine=reader) == ["reader"]
    with reader.connect() as connection:
        connection.connection.driver_connection.execute(f"{back}; SELECT 1")
        assert connection.execute(text("SELECT current_user::text")).scalar() == "reader"

def test_discarding_all(pg_database):
    with reader.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(2):
            connection.execute(text("DISCARD ALL"))
            assert connection.execute(text("SELECT current_user::text")).scalar() == "reader"

def test_a_wrong_password(pg_database):
    wrong = create_engine(reader.url.set(password="wrong"))
    with pytest.raises(Exception, match='password authentication failed for user "reader"'):
        wrong.connect()
""",
    )


@pytest.mark.parametrize("mark", MARKS)
def test_another_role_that_the_migrations_make(adopter: Project, mark: str) -> None:
    adopter.write(
        "schema.sql",
        SCHEMA
        + """
        GRANT SELECT ON note TO reader;
        GRANT USAGE ON SEQUENCE ticket TO reader;
        """,
    )
    passes(
        adopter,
        mark
        + """
def test_it_is_the_role_of_the_app(pg_database):
    assert ask("SELECT current_user::text") == ["reader"]
    assert ask("SHOW work_mem") == ["7MB"]
    assert error("SELECT * FROM secret") == "permission denied for table secret"
    assert error("CREATE TABLE mine ()").startswith("permission denied for schema public")
    assert ask("SELECT body FROM note", "SELECT set_config('app.tenant', 'b', true)") == ["of b"]

@pytest.mark.parametrize("again", [1, 2])
def test_sequences_begin_anew(pg_database, again):
    assert ask("SELECT nextval('ticket')") == [1]
""",
        "--pg-role=reader",
    )


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
def test_the_superuser_where_it_is_named(adopter: Project, mark: str) -> None:
    passes(
        adopter,
        mark
        + """
def test_it_may_all(pg_database):
    assert ask("SELECT current_user::text", "SET session_replication_role = replica") == ["postgres"]
    assert len(ask("SELECT body FROM note")) == 2
""",
        "--pg-role=postgres",
    )


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
