"""What a statement says of the transaction and the session, read from its text."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgharness.proxy.core.statements import Statement, function_settings, read
from pgharness.proxy.core.tokens import tokenize
from tests.support.statement_corpus import CORPUS

_WORDS = sorted({text[token.start : token.end] for text in CORPUS for token in tokenize(text)})
_SOUP = st.lists(st.sampled_from([*_WORDS, *";(),.*", "'", '"', "$$", "/*", "--", "\n"])).map(" ".join)


def _only(text: str) -> Statement:
    (statement,) = read(text)
    return statement


def _said(text: str, *fields: str) -> dict[str, Any]:
    """The fields of a statement that are not as they are by default, less those that each one has."""
    statement = _only(text)
    defaults = {field.name: field.default for field in dataclasses.fields(Statement)}
    return {name: getattr(statement, name) for name in fields if getattr(statement, name) != defaults[name]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("BEGIN", {}),
        ("begin isolation level serializable", {"isolation": "SERIALIZABLE"}),
        ("BEGIN READ ONLY, DEFERRABLE", {"read_only": True, "deferrable": True}),
        ("START TRANSACTION READ WRITE NOT DEFERRABLE", {"read_only": False, "deferrable": False}),
        ("BEGIN READ ONLY READ WRITE", {"read_only": False}),
        ("COMMIT AND CHAIN", {"chain": True}),
        ("ROLLBACK AND NO CHAIN", {}),
        ("ABORT AND CHAIN", {"chain": True}),
        ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", {"isolation": "REPEATABLE READ"}),
        ("SET LOCAL TRANSACTION READ ONLY", {"read_only": True, "is_local": True}),
        ("SET TRANSACTION SNAPSHOT '1'", {"snapshot": True, "value": "1"}),
        (
            "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ UNCOMMITTED, READ ONLY",
            {"isolation": "READ UNCOMMITTED", "read_only": True},
        ),
    ],
)
def test_the_modes_of_a_transaction(text: str, said: dict[str, Any]) -> None:
    fields = ("isolation", "read_only", "deferrable", "chain", "snapshot", "is_local", "value")

    assert _said(text, *fields) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SET x TO 'a'", {"name": "x", "value": "a"}),
        ("SET X = 5", {"name": "x", "value": "5"}),
        ("SET x = -1.5", {"name": "x", "value": "-1.5"}),
        ("SET x = +1", {"name": "x", "value": "1"}),
        ("SET x = ON", {"name": "x", "value": "on"}),
        ("SET x TO DEFAULT", {"name": "x"}),
        ("SET x FROM CURRENT", {"name": "x"}),
        ("SET x TO a, 'B', 1", {"name": "x", "value": "a, B, 1"}),
        (
            "SET search_path TO a, \"B\", 'c d', '$user'",
            {"name": "search_path", "value": 'a, "B", "c d", "$user"'},
        ),
        ("SET LOCAL App.Tenant TO ''", {"name": "app.tenant", "value": "", "is_local": True}),
        ('SET "app.Tenant" TO 1', {"name": "app.tenant", "value": "1"}),
        ("SET SESSION x TO 1", {"name": "x", "value": "1"}),
        ("SET TIME ZONE 'UTC'", {"name": "timezone", "value": "UTC"}),
        ("SET LOCAL TIME ZONE -7", {"name": "timezone", "value": "-7", "is_local": True}),
        ("SET TIME ZONE LOCAL", {"name": "timezone"}),
        ("SET TIME ZONE INTERVAL '1' HOUR TO MINUTE", {"name": "timezone"}),
        ("SET NAMES 'UTF8'", {"name": "client_encoding", "value": "UTF8"}),
        ("SET NAMES DEFAULT", {"name": "client_encoding"}),
        ("SET SCHEMA 'App'", {"name": "search_path", "value": '"App"'}),
        ("SET ROLE NONE", {"name": "role", "value": "none"}),
        ("SET LOCAL ROLE app", {"name": "role", "value": "app", "is_local": True}),
        ("SET role = 'app'", {"name": "role", "value": "app"}),
        ("SET SESSION AUTHORIZATION DEFAULT", {"name": "session_authorization"}),
        (
            "SET LOCAL SESSION AUTHORIZATION a",
            {"name": "session_authorization", "value": "a", "is_local": True},
        ),
        ("SET sort_mem = 1", {"name": "work_mem", "value": "1"}),
        ("SET XML OPTION CONTENT", {"name": "xmloption", "value": "content"}),
        ("RESET TIME ZONE", {"name": "timezone"}),
        ("RESET App.Tenant", {"name": "app.tenant"}),
        ("SHOW ALL", {"name": "all"}),
        ("SHOW transaction isolation level", {"name": "transaction_isolation"}),
    ],
)
def test_a_parameter_and_its_value(text: str, said: dict[str, Any]) -> None:
    assert _said(text, "name", "value", "is_local") == said


@pytest.mark.parametrize("text", ["DEALLOCATE ALL", "DEALLOCATE PREPARE ALL", "CLOSE ALL", "UNLISTEN *"])
def test_everything_has_no_name(text: str) -> None:
    assert _said(text, "name", "everything", "name_span") == {"everything": True}


@pytest.mark.parametrize(
    ("text", "renamed"),
    [
        ("PREPARE p AS SELECT p FROM p", "PREPARE new AS SELECT p FROM p"),
        ("/* p */ EXECUTE p(p)", "EXECUTE new(p)"),
        ('SELECT 1; DEALLOCATE PREPARE "P"', "DEALLOCATE PREPARE new"),
        ("DECLARE c SCROLL CURSOR FOR SELECT c", "DECLARE new SCROLL CURSOR FOR SELECT c"),
        ("FETCH NEXT FROM c -- c", "FETCH NEXT FROM new -- c"),
        ("MOVE c", "MOVE new"),
        ("CLOSE c", "CLOSE new"),
        ("UPDATE c SET c = 1 WHERE CURRENT OF c", "UPDATE c SET c = 1 WHERE CURRENT OF new"),
        ("EXPLAIN (ANALYZE) EXECUTE p(1)", "EXPLAIN (ANALYZE) EXECUTE new(1)"),
        ("CREATE TABLE p AS EXECUTE p", "CREATE TABLE p AS EXECUTE new"),
    ],
)
def test_a_name_that_can_be_replaced(text: str, renamed: str) -> None:
    statement = read(text)[-1]
    start, end = statement.name_span

    assert statement.text[:start] + "new" + statement.text[end:] == renamed


@pytest.mark.parametrize(
    "text", ["SAVEPOINT a", "LISTEN a", "SET a = 1", "PREPARE TRANSACTION 'a'", "SELECT a"]
)
def test_other_names_are_not_replaced(text: str) -> None:
    assert _only(text).name_span == (0, 0)


def test_a_name_is_cut_as_postgresql_cuts_it() -> None:
    assert _only("SAVEPOINT " + "A" * 70).name == "a" * 63
    assert _only('LISTEN "' + "é" * 40 + '"').name == "é" * 31


@pytest.mark.parametrize(
    "text",
    [
        "COMMIT nothing", "BEGIN READ", "BEGIN ISOLATION LEVEL",
        "BEGIN READ ONLY,", "SAVEPOINT", "SAVEPOINT 'a'", "SAVEPOINT a b",
        "RELEASE select", "ROLLBACK TO", "ABORT TO a", "START", "SET", "SET x", "SET x =", "SET x = (1)",
        "SET TRANSACTION", "SET CONSTRAINTS a", "SET CONSTRAINTS DEFERRED", "SET CONSTRAINTS",
        "RESET", "SHOW", "SHOW a b",
        "DISCARD", "LISTEN 'a'", "UNLISTEN", "NOTIFY a,", "PREPARE p", "PREPARE p AS", "EXECUTE 1",
        "DECLARE c CURSOR", "DECLARE CURSOR FOR SELECT 1", "FETCH", "FETCH a b c", "CLOSE", "SET ROLE",
        "COPY (SELECT 1) FROM STDIN", "EXECUTE p (",
        "COMMIT PREPARED a", "SET TRANSACTION SNAPSHOT a", "DEALLOCATE 'a'",
    ],
)  # fmt: skip
def test_what_the_grammar_refuses_is_left_to_the_server(text: str) -> None:
    assert (_only(text).kind, _only(text).name) == ("plain", "")


@pytest.mark.parametrize(
    ("script", "texts"),
    [
        ("", []),
        (" ; ;\n; -- nothing", []),
        ("/* nothing */ ;", []),
        ("SELECT 1", ["SELECT 1"]),
        (" SELECT ';'; /* ; */ SELECT 2 -- ;\n ; ", ["SELECT ';'", "SELECT 2 -- ;"]),
        ("SELECT $$;$$;SELECT E'\\';';", ["SELECT $$;$$", "SELECT E'\\';'"]),
        ("CREATE RULE r AS ON INSERT TO t DO (DELETE FROM u; NOTIFY a); SELECT 1", None),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 1", None),
        ("CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; END; SELECT 1", None),
        ("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 AS end, t.case; END; SELECT 1", None),
        ("BEGIN; SELECT 1", ["BEGIN", "SELECT 1"]),
        ("BEGIN; SELECT CASE WHEN a THEN 1 END; END", ["BEGIN", "SELECT CASE WHEN a THEN 1 END", "END"]),
        ("SELECT 1); SELECT (2; 3", ["SELECT 1)", "SELECT (2; 3"]),
        ("SELECT 'a; SELECT 2", ["SELECT 'a; SELECT 2"]),
    ],
)
def test_a_script_as_its_statements(script: str, texts: list[str] | None) -> None:
    expected = texts if texts is not None else [script.removesuffix("; SELECT 1"), "SELECT 1"]

    assert [statement.text for statement in read(script)] == expected
    assert all(script.startswith(statement.text, statement.start) for statement in read(script))


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("PREPARE p (int) AS SELECT $1", "SELECT $1"),
        ("DECLARE c CURSOR WITH HOLD FOR TABLE t", "TABLE t"),
        ("EXPLAIN (COSTS off) DELETE FROM t", "DELETE FROM t"),
        ("EXPLAIN ANALYZE VERBOSE SELECT 1", "SELECT 1"),
        ("COPY (SELECT 1) TO STDOUT", "SELECT 1) TO STDOUT"),
        ("DO LANGUAGE 'plpgsql' $$ BEGIN END $$", " BEGIN END "),
        ("DO", ""),
        ("CREATE FUNCTION f(a text DEFAULT 'a') RETURNS int LANGUAGE sql AS $$SELECT 1$$ STABLE", "SELECT 1"),
        ("CREATE FUNCTION f() RETURNS int RETURN 1", "1"),
        ("CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END", "SELECT 1; END"),
        ("CREATE FUNCTION f()", ""),
        ("CREATE TABLE t AS SELECT 'a'", ""),
        ("SELECT 1", ""),
    ],
)
def test_the_statement_within_another(text: str, body: str) -> None:
    assert _only(text).body == body


def test_a_cursor_that_is_held() -> None:
    assert _only("DECLARE c CURSOR WITH HOLD FOR SELECT 1").hold
    assert not _only("DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1").hold


@pytest.mark.parametrize(
    ("source", "settings"),
    [
        ("BEGIN SET LOCAL app.a = 1; set b to 2; END", [("app.a", True), ("b", False)]),
        ("SELECT set_config('app.A', $1, true)", [("app.a", True)]),
        ("BEGIN IF x THEN RESET app.a; ELSE RESET ALL; END IF; END", [("app.a", False), (None, False)]),
        ("BEGIN SET TIME ZONE 'UTC'; SET LOCAL ROLE a; SET SESSION AUTHORIZATION a; END",
         [("timezone", False), ("role", True), ("session_authorization", False)]),
        ("BEGIN EXECUTE 'SET LOCAL app.a = ' || quote_literal(x); END", [("app.a", True)]),
        ("BEGIN EXECUTE format('SET %I = %L', x, y); END", [(None, False)]),
        ("BEGIN PERFORM set_config(name, 'x', y); END", [(None, None)]),
        ("BEGIN UPDATE t SET a = 1; SET TRANSACTION READ ONLY; SET CONSTRAINTS ALL DEFERRED; END", []),
        ("SELECT 'SETTINGS", []),
    ],
)  # fmt: skip
def test_what_a_function_may_set(source: str, settings: list[tuple[str | None, bool | None]]) -> None:
    assert [(one.name, one.is_local) for one in function_settings(source)] == settings


@given(st.one_of(st.text(), _SOUP))
def test_any_script_is_read(script: str) -> None:
    end = 0

    for statement in read(script):
        assert end <= statement.start
        assert script.startswith(statement.text, statement.start)
        start, end_of_name = statement.name_span
        assert 0 <= start <= end_of_name <= len(statement.text)
        end = statement.start + len(statement.text)
    function_settings(script)
