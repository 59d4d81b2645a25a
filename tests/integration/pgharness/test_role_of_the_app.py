"""The app connects as a role that is no superuser and owns its database, as in production."""

from __future__ import annotations

import pytest

from tests.support.project import Project
from tests.support.role_projects import DRIVERS, MARKS, SCHEMA, passes, write_into


@pytest.fixture(params=DRIVERS)
def adopter(empty_project: Project, request: pytest.FixtureRequest) -> Project:
    return write_into(empty_project, request.param)


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
    assert ask_after_discarding_all("SELECT current_user::text") == ["pgharness_app"]
""",
    )


@pytest.mark.parametrize("mark", MARKS)
def test_a_second_login_beside_it(adopter: Project, mark: str) -> None:
    passes(
        adopter,
        mark
        + """
def test_it_is_somebody_else(pg_database):
    assert ask("SELECT current_user::text", url=READER) == ["reader"]
    assert error("SELECT * FROM secret", url=READER) == "permission denied for table secret"
    assert error("SET SESSION AUTHORIZATION pgharness_app", url=READER) == (
        "permission denied to set session authorization"
    )
    ask("SELECT 1", "GRANT SELECT ON secret TO reader", "INSERT INTO secret VALUES (7)")
    assert ask("SELECT id FROM secret", url=READER) == [7]

@pytest.mark.parametrize("back", ["RESET SESSION AUTHORIZATION", "SET SESSION AUTHORIZATION DEFAULT",
                                  "SET SESSION AUTHORIZATION reader", "RESET ROLE", "RESET ALL"])
def test_the_way_back_leads_to_itself(pg_database, back):
    assert ask("SELECT current_user::text", back, url=READER) == ["reader"]
    if "asyncpg" not in URL:  # which prepares, and so sends no scripts
        assert ask("SELECT current_user::text", f"SELECT 1; {back}", url=READER) == ["reader"]

def test_discarding_all(pg_database):
    for _ in range(2):
        assert ask_after_discarding_all("SELECT current_user::text", url=READER) == ["reader"]

def test_a_wrong_password(pg_database):
    wrong = make_url(READER).set(password="wrong").render_as_string(False)
    with pytest.raises(Exception, match='password authentication failed for user "reader"'):
        ask("SELECT 1", url=wrong)
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
