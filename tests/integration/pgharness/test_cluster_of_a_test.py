"""Roles and databases that a test makes or changes go with it, though all databases share them."""

from __future__ import annotations

import pytest

from tests.support.project import Project

INI = """
[pytest]
pg_env = DATABASE_URL={url}
pg_sql = schema.sql
"""
SCHEMA = """
CREATE TABLE item (id int);
DO $$BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'pgh_known') THEN
        CREATE ROLE pgh_known CONNECTION LIMIT 7;
        ALTER ROLE pgh_known SET work_mem = '7MB';
        CREATE ROLE pgh_group;
    END IF;
END$$;
"""
TESTS = """
import os
import psycopg, pytest

def ask(*statements):
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
        for sql in statements:
            cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else None

def facts():
    return ask(
        "SELECT (SELECT array_agg(rolname ORDER BY 1) FROM pg_roles WHERE rolname LIKE 'made%'),"
        "       (SELECT array_agg(datname ORDER BY 1) FROM pg_database WHERE datname LIKE 'made%'),"
        "       (SELECT rolconnlimit FROM pg_roles WHERE rolname = 'pgh_known'),"
        "       (SELECT setconfig FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = setrole"
        "        WHERE rolname = 'pgh_known' AND setdatabase = 0),"
        "       (SELECT count(*) FROM pg_auth_members WHERE member = 'pgh_known'::regrole)"
    )

def facts_alone():
    # Without what a test of another worker has made and not taken away yet.
    ask("ALTER ROLE pgh_known CONNECTION LIMIT 7")
    return facts()

BEFORE = [(None, None, 7, ["work_mem=7MB"], 0)]
WAYS = {
    "a role with privileges": ["CREATE ROLE made_one", "CREATE TABLE t ()", "GRANT ALL ON t TO made_one"],
    "in a block": ["DO 'BEGIN CREATE ROLE made_two; END'"],
    "attributes": ["ALTER ROLE pgh_known CONNECTION LIMIT 3"],
    "settings": ["ALTER ROLE pgh_known SET search_path = x", "ALTER ROLE pgh_known RESET work_mem"],
    "a membership": ["GRANT pgh_group TO pgh_known"],
    "a role and a membership": ["CREATE ROLE made_three IN ROLE pgh_group"],
}

@pytest.mark.parametrize("isolation", ["auto", "rollback", "database"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("again", [1, 2])
def test_roles(way, again, isolation, request):
    assert facts_alone() == BEFORE
    ask(*WAYS[way])
    assert facts() != BEFORE

@pytest.mark.parametrize("again", [1, 2])
def test_databases(again):
    assert facts_alone() == BEFORE
    ask("CREATE DATABASE made_tenant")
    with psycopg.connect(os.environ["DATABASE_URL"].rpartition("/")[0] + "/made_tenant") as connection:
        connection.execute("CREATE TABLE of_the_tenant ()")
    assert facts() != BEFORE

"""
CONFTEST = """
def pytest_collection_modifyitems(items):
    import pytest
    for item in items:
        if "isolation" in getattr(getattr(item, "callspec", None), "params", {}):
            item.add_marker(pytest.mark.pg(isolation=item.callspec.params["isolation"]))
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_they_go_with_the_test(empty_project: Project, options: tuple[str, ...]) -> None:
    empty_project.write("pytest.ini", INI)
    empty_project.write("schema.sql", SCHEMA)
    empty_project.write("conftest.py", CONFTEST)
    empty_project.write("test_it.py", TESTS)

    result = empty_project.pytest(*options)

    assert result.outcomes == {"passed": 38}, result.output
