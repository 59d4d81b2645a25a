"""Under auto, what stands still in a shared transaction is shown as production would show it."""

from __future__ import annotations

import pytest

from tests.support.project import Project
from tests.support.second_attempts import told

INI = """
[pytest]
pg_env = DATABASE_URL={url}
pg_sql = schema.sql
"""
SCHEMA = """
CREATE TABLE item (id serial, at timestamptz, made timestamptz DEFAULT CURRENT_TIMESTAMP);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN NEW.at = CURRENT_TIMESTAMP; RETURN NEW; END';
CREATE TRIGGER stamp BEFORE INSERT ON item FOR EACH ROW EXECUTE FUNCTION stamp();
CREATE TABLE note (id serial, made timestamptz DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE log (id bigint, number bigint);
CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN INSERT INTO log VALUES (NEW.id, txid_current()); RETURN NEW; END';
CREATE TABLE audited (id serial);
CREATE TRIGGER audit AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION audit();
CREATE TABLE told (id serial);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_notify(''added'', NEW.id::text); RETURN NEW; END';
CREATE TRIGGER tell AFTER INSERT ON told FOR EACH ROW EXECUTE FUNCTION tell();
CREATE VIEW moment AS SELECT LOCALTIMESTAMP AS at;
CREATE FUNCTION through() RETURNS timestamp STABLE BEGIN ATOMIC SELECT at FROM moment; END;
"""
TESTS = """
import os, time
import psycopg, pytest

def ask(sql):
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return connection.execute(sql).fetchall()

def differ(sql):
    first = ask(sql)
    time.sleep(0.002)
    assert ask(sql) != first

def test_trigger():
    differ("INSERT INTO item DEFAULT VALUES RETURNING at")

def test_view():
    differ("SELECT at FROM moment")

def test_function_by_a_view():
    differ("SELECT through()")

def test_keyword():
    differ("SELECT CURRENT_TIMESTAMP")

def test_number():
    ask("INSERT INTO audited DEFAULT VALUES RETURNING id")
    ask("INSERT INTO audited DEFAULT VALUES RETURNING id")
    assert len({row for row in ask("SELECT number FROM log")}) == 2

def test_processes():
    url = os.environ["DATABASE_URL"]
    with psycopg.connect(url) as one, psycopg.connect(url) as two:
        sql = "SELECT pg_backend_pid() AS pid, 1"
        assert one.execute(sql).fetchone() != two.execute(sql).fetchone()
        count = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        assert one.execute(count).fetchone() >= (2,)

def test_default_of_a_column_moves_by_itself():
    differ("INSERT INTO note DEFAULT VALUES RETURNING made")

def test_notification_of_a_trigger():
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as listener:
        listener.execute("LISTEN added")
        ask("INSERT INTO told DEFAULT VALUES RETURNING id")
        assert [told.payload for told in listener.notifies(timeout=5, stop_after=1)] == ["1"]

def test_notification_that_nobody_hears():
    ask("INSERT INTO told DEFAULT VALUES RETURNING id")

def test_once():
    assert len(ask("INSERT INTO item DEFAULT VALUES RETURNING at")) == 1
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_each_has_real_commits_where_it_needs_them(empty_project: Project, options: tuple[str, ...]) -> None:
    empty_project.write("pytest.ini", INI)
    empty_project.write("schema.sql", SCHEMA)
    empty_project.write("test_it.py", TESTS)

    result = empty_project.pytest(*options)

    assert result.outcomes == {"passed": 10}, result.output
    assert told(result) == [
        f"test_it.py::test_{name}"
        for name in (
            *("function_by_a_view", "keyword", "notification_of_a_trigger", "number", "processes"),
            *("trigger", "view"),
        )
    ], result.output
