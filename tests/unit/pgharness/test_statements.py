"""What is read from the text of a statement."""

from __future__ import annotations

import pytest

from pgharness.isolation.statements import Kind, Statement, classify


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("SAVEPOINT a", "savepoint", "a"),
        ("savepoint SA_Savepoint_1;", "savepoint", "sa_savepoint_1"),
        ('SAVEPOINT "Two ""words"""', "savepoint", 'Two "words"'),
        ("RELEASE a", "release", "a"),
        ("RELEASE SAVEPOINT A ;", "release", "a"),
        ("ROLLBACK TO a", "rollback to", "a"),
        ("ROLLBACK TO SAVEPOINT a", "rollback to", "a"),
        ("rollback work to savepoint a", "rollback to", "a"),
        ("ROLLBACK TRANSACTION TO a", "rollback to", "a"),
        ("BEGIN", "begin", ""),
        ("begin isolation level serializable, read only;", "begin", ""),
        ("START TRANSACTION READ WRITE", "begin", ""),
        ("COMMIT", "commit", ""),
        ("commit and chain", "commit", ""),
        ("END TRANSACTION;", "commit", ""),
        ("ROLLBACK", "rollback", ""),
        ("ABORT WORK", "rollback", ""),
        ("PREPARE TRANSACTION 'x'", "refused", ""),
        ("COMMIT PREPARED 'x'", "refused", ""),
        ("ROLLBACK PREPARED 'x'", "refused", ""),
        ("LISTEN channel", "refused", "listen"),
        ("-- why\n/* because */ COMMIT -- now", "commit", ""),
        ("PREPARE plan AS SELECT 1", "plain", ""),
        ("UNLISTEN *", "plain", ""),
        ("COMMIT; SELECT 1", "plain", ""),
        ("BEGIN; INSERT INTO t VALUES (1)", "plain", ""),
        ("SELECT 'COMMIT'", "plain", ""),
    ],
)
def test_transaction_control(text: str, kind: Kind, name: str) -> None:
    found = classify(text)

    assert (found.kind, found.name) == (kind, name)


@pytest.mark.parametrize("text", ["", " ", ";", " ; ; ", "-- nothing", "/* nothing */ ;"])
def test_nothing_is_empty(text: str) -> None:
    assert classify(text) == Statement("empty", writes=False)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "select * from t for update",
        "SELECT * FROM t FOR NO KEY UPDATE SKIP LOCKED",
        "VALUES (1)",
        "TABLE t",
        "SHOW work_mem",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "EXPLAIN SELECT 1",
        "DECLARE c CURSOR FOR SELECT 1",
        "FETCH 10 FROM c",
        "/* insert */ SELECT 1 -- update",
        "SELECT last_update, updated FROM t",
    ],
)
def test_reads(text: str) -> None:
    assert not classify(text).writes


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES (1)",
        "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
        "EXPLAIN ANALYZE SELECT 1",
        "SELECT * INTO copy FROM t",
        "SELECT nextval('s')",
        "SELECT '--', setval('s', 1)",
        "SELECT '/*', setval('s', 1), '*/'",
        r"SELECT E'\'--', setval('s', 1)",
        "SELECT 1 AS \"--\", setval('s', 1)",
        "SELECT $$--$$, setval('s', 1)",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
        "COPY t FROM STDIN",
        "CALL p()",
        "LOCK TABLE t",
        "(SELECT 1)",
        "SELECT 1; DELETE FROM t",
        "anything else",
    ],
)
def test_writes_and_what_may_be_one(text: str) -> None:
    assert classify(text).writes


def test_the_functions_that_a_statement_may_call() -> None:
    text = 'SELECT app.Audit(1), "Quoted"(2), übung (3), count FROM t WHERE a IN (1) -- hidden()'

    assert classify(text).words == {"audit", "quoted", "übung", "in"}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("CREATE TABLE t (a int)", True),
        ("alter type mood add value 'x'", True),
        ("DROP INDEX i", True),
        ("DO $$ BEGIN END $$", True),
        ("TRUNCATE t", False),
        ("SELECT 'create'", False),
    ],
)
def test_changes_of_the_schema(text: str, *, changes: bool) -> None:
    assert classify(text).changes_schema is changes


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("SET LOCAL work_mem = '1MB'", "work_mem"),
        ("set  local\tapp.tenant TO 'a'", "app.tenant"),
        ('SET LOCAL "app.tenant" TO 1', "app.tenant"),
        ("SET LOCAL TIME ZONE 'UTC'", "timezone"),
        ("SET LOCAL ROLE app", "ROLE"),
        ("SET LOCAL SCHEMA 'app'", "search_path"),
        ("SET LOCAL NAMES 'UTF8'", "client_encoding"),
        ("SET LOCAL SESSION AUTHORIZATION app", "session_authorization"),
        ("SET work_mem = '1MB'", ""),
        ("SELECT 'SET LOCAL x = 1'", ""),
    ],
)
def test_the_parameter_of_set_local(text: str, parameter: str) -> None:
    assert classify(text).local_setting == parameter


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("SET search_path TO a, b", "search_path"),
        ("set session statement_timeout = 5", "statement_timeout"),
        ('SET "app.user" = 1', "app.user"),
        ("SET TIME ZONE 'UTC'", "timezone"),
        ("SET SESSION AUTHORIZATION bob", "session_authorization"),
        ("RESET search_path", "search_path"),
        ("RESET ALL", ""),
        ("SET LOCAL search_path TO a", ""),
        ("SET TRANSACTION READ ONLY", ""),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "default_transaction_read_only"),
        (
            "set session characteristics as transaction isolation level serializable,\n read write",
            "default_transaction_read_only",
        ),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION DEFERRABLE", ""),
        ("SET CONSTRAINTS ALL IMMEDIATE", ""),
        ("SELECT 1", ""),
    ],
)
def test_the_parameter_that_a_statement_sets_for_its_session(text: str, name: str) -> None:
    assert classify(text).session_setting == name


@pytest.mark.parametrize(
    ("text", "changed", "read"),
    [
        ("SELECT users.id FROM users WHERE x = 1", set(), {"users"}),
        ("SELECT * FROM a, b AS c, ONLY d JOIN app.e ON true", set(), {"a", "b", "d", "e"}),
        ('INSERT INTO public."Users" (a) VALUES (1) ON CONFLICT DO UPDATE SET a = 1', {"Users"}, set()),
        ("UPDATE tasks SET x = 1 FROM z", {"tasks"}, {"tasks", "z"}),
        ("DELETE FROM q USING r", {"q"}, {"q", "r"}),
        ("SELECT 1 FOR UPDATE OF u", set(), set()),
        ("INSERT INTO t SELECT * FROM (SELECT * FROM o) x", {"t"}, {"o"}),
        ("COPY t FROM STDIN", {"t"}, set()),
        ("TRUNCATE TABLE ONLY t", {"t"}, set()),
    ],
)
def test_the_tables_a_statement_names(text: str, changed: set[str], read: set[str]) -> None:
    statement = classify(text)

    assert (set(statement.changed_tables), set(statement.read_tables)) == (changed, read)


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("INSERT INTO t VALUES (1); COMMIT", True),
        ("COMMIT; SELECT 1", True),
        ("SELECT 1;", False),
        ("INSERT INTO t VALUES (1); SELECT 2", False),
        ("SELECT 'x' AS commit", False),
    ],
)
def test_a_script_that_may_end_the_transaction(text: str, ends: bool) -> None:
    assert classify(text).ends is ends


@pytest.mark.parametrize(
    ("text", "rows", "skips"),
    [
        ("SELECT * FROM t", False, False),
        ("SELECT 'for update'", True, False),  # in doubt
        ("SELECT * FROM t FOR UPDATE", True, False),
        ("SELECT * FROM t FOR NO KEY UPDATE OF t, u", True, False),
        ("SELECT * FROM t FOR KEY SHARE NOWAIT", True, True),
        ("SELECT * FROM t FOR UPDATE OF t\n SKIP  LOCKED", True, True),
        ("UPDATE t SET x = 1", False, False),
        ("CREATE POLICY p ON t FOR UPDATE USING (true)", False, False),
        ("SELECT pg_try_advisory_xact_lock(1)", False, True),
        ("SELECT pg_advisory_lock(1)", False, False),
    ],
)
def test_what_a_statement_locks_and_whether_it_waits(text: str, rows: bool, skips: bool) -> None:
    statement = classify(text)

    assert (statement.row_locks, statement.skips) == (rows, skips)


@pytest.mark.parametrize("text", ["NOTIFY a, 'b'", "SELECT pg_notify($1, $2)"])
def test_a_notification(text: str) -> None:
    assert classify(text).notifies
