from __future__ import annotations

import pytest

from pgharness.schema.statements import MetaCommandError, Statement, split


def texts(sql: str) -> list[str]:
    return [statement.text for statement in split(sql)]


def test_statements_and_the_lines_they_begin_on() -> None:
    sql = "-- first\nSELECT 1;\n\n/* a /* nested; */ one; */ SELECT\n2 ;;\nSELECT 3"

    assert list(split(sql)) == [Statement("SELECT 1", 2), Statement("SELECT\n2", 4), Statement("SELECT 3", 6)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a;b'",
        "SELECT 'it''s; fine'",
        r"SELECT E'it\'s; fine'",
        r"SELECT 'back\'",
        'SELECT 1 AS "a;""b"',
        "DO $$ BEGIN PERFORM 1; END $$",
        "DO $body$ SELECT $$;$$; $body$",
        "SELECT $1; ".rstrip("; "),
        "SELECT a$b$c FROM t",
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
        "CREATE OR REPLACE FUNCTION f() RETURNS a BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END",
        "SELECT 1 -- no; end",
        "SELECT 'never closed; ",
        "SELECT $$never closed; ",
    ],
)
def test_semicolons_that_end_nothing(sql: str) -> None:
    assert texts(sql + ";" if "never" not in sql and "--" not in sql else sql) == [sql.rstrip()]


def test_begin_outside_a_function_ends_as_usual() -> None:
    assert texts("BEGIN; SELECT 1; END; CREATE TABLE begin_t (a int); COMMIT") == [
        "BEGIN",
        "SELECT 1",
        "END",
        "CREATE TABLE begin_t (a int)",
        "COMMIT",
    ]


def test_nothing_is_no_statement() -> None:
    assert texts("") == texts(" ;; -- c\n /* never closed") == []


@pytest.mark.parametrize(
    ("sql", "command", "line"),
    [
        ("SELECT 1;\n\\i other.sql\n", "\\i other.sql", 2),
        ("SELECT 1 \\gexec", "\\gexec", 1),
        ("\n\nCOPY public.t (a) FROM stdin;\n1\n\\.\n", "COPY ... FROM stdin", 3),
    ],
)
def test_commands_of_psql_are_refused(sql: str, command: str, line: int) -> None:
    with pytest.raises(MetaCommandError) as caught:
        texts(sql)

    assert (caught.value.command, caught.value.line) == (command, line)


def test_what_pg_dump_writes_around_a_dump_is_let_pass() -> None:
    assert texts("\\restrict abc\nSELECT 1;\n\\unrestrict abc\n") == ["SELECT 1"]


def test_copy_from_a_file_is_plain_sql() -> None:
    assert texts("COPY t FROM '/tmp/x';") == ["COPY t FROM '/tmp/x'"]
