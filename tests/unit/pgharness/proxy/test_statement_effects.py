"""What a statement can do, read from its text."""

from __future__ import annotations

import pytest

from pgharness.proxy.core.statements import SetConfig, Statement, read


def _only(text: str) -> Statement:
    (statement,) = read(text)
    return statement


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "(SELECT 1)",
        "select * from t for update",
        "SELECT * FROM t FOR NO KEY UPDATE SKIP LOCKED",
        "VALUES (1)",
        "TABLE t",
        "SHOW work_mem",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "EXPLAIN SELECT 1",
        "EXPLAIN DELETE FROM t",
        "EXPLAIN (ANALYZE false) DELETE FROM t",
        "EXPLAIN ANALYZE SELECT 1",
        "DECLARE c CURSOR FOR SELECT 1",
        "FETCH 10 FROM c",
        "CLOSE c",
        "/* insert */ SELECT 1 -- update",
        "SELECT update, last_update, t.delete, count(insert) AS merge FROM t",
        "SELECT 'DELETE FROM t', \"nextval\" FROM t",
        "SELECT nextval FROM t",
        "SELECT 1 AS into",
        "PREPARE p AS DELETE FROM t",
        "COPY t TO STDOUT",
        "COPY (SELECT 1) TO STDOUT",
        "SET x = 1",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "BEGIN",
        "SAVEPOINT a",
        "NOTIFY a",
        "DISCARD PLANS",
        "DEALLOCATE ALL",
    ],
)
def test_reads(text: str) -> None:
    assert not _only(text).writes


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES (1)",
        "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
        "WITH x AS (SELECT 1) UPDATE t SET a = 1",
        "EXPLAIN ANALYZE DELETE FROM t",
        "EXPLAIN (VERBOSE, ANALYZE on) INSERT INTO t VALUES (1)",
        "EXPLAIN ANALYZE EXECUTE p",
        "SELECT * INTO copy FROM t",
        "SELECT nextval('s')",
        "SELECT \"nextval\"('s')",
        "SELECT '--', setval('s', 1)",
        "SELECT '/*', pg_catalog . setval ('s', 1), '*/'",
        r"SELECT E'\'--', setval('s', 1)",
        "SELECT 1 AS \"--\", setval('s', 1)",
        "SELECT $$--$$, setval('s', 1)",
        "SELECT lo_create(0)",
        "SELECT pg_logical_emit_message(true, 'a', 'b')",
        "DECLARE c CURSOR FOR SELECT nextval('s')",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
        "COPY t FROM STDIN",
        "COPY (DELETE FROM t RETURNING a) TO STDOUT",
        "COPY t TO PROGRAM 'cat'",
        "CALL p()",
        "EXECUTE p",
        "DO $$ BEGIN END $$",
        "DISCARD ALL",
        "LOCK TABLE t",
        "anything else",
        "SET x",
    ],
)
def test_writes_and_what_may_be_one(text: str) -> None:
    assert _only(text).writes


def test_the_functions_that_a_statement_may_call() -> None:
    text = 'SELECT app.Audit(1), "Quoted"(2), übung (3), count FROM t WHERE a IN (1) AND EXISTS (b) -- no()'

    assert _only(text).words == {"audit", "Quoted", "übung"}
    assert _only("DO $$ BEGIN PERFORM f(g(1)); END $$ LANGUAGE 'plpgsql'").words == {"f", "g"}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("CREATE TABLE t (a int)", True),
        ("alter type mood add value 'x'", True),
        ("DROP INDEX i", True),
        ("DO $$ BEGIN END $$", True),
        ("REFRESH MATERIALIZED VIEW v", True),
        ("SELECT a INTO t FROM u", True),
        ("EXPLAIN SELECT a INTO t FROM u", False),
        ("CALL p()", False),
        ("TRUNCATE t", False),
        ("SELECT 'create'", False),
    ],
)
def test_changes_of_the_schema(text: str, *, changes: bool) -> None:
    assert _only(text).changes_schema is changes


@pytest.mark.parametrize(
    ("text", "changed", "read_"),
    [
        ("SELECT users.id FROM users WHERE x = 1", set(), {"users"}),
        ("SELECT * FROM a, b AS c, ONLY d JOIN app.e ON true", set(), {"a", "b", "d", "e"}),
        ('INSERT INTO public."Users" (a) VALUES (1) ON CONFLICT DO UPDATE SET a = 1', {"Users"}, set()),
        ("UPDATE tasks SET x = 1 FROM z", {"tasks"}, {"tasks", "z"}),
        ("DELETE FROM q USING r", {"q"}, {"q", "r"}),
        ("SELECT 1 FOR UPDATE OF u", set(), set()),
        ("INSERT INTO t SELECT * FROM (SELECT * FROM o) x", {"t"}, {"o"}),
        ("COPY t FROM STDIN", {"t"}, set()),
        ("COPY t TO STDOUT", set(), {"t"}),
        ("TRUNCATE TABLE ONLY t, s.u", {"t", "u"}, set()),
        ("WITH t AS (SELECT * FROM t) SELECT * FROM t", set(), {"t"}),
        ("WITH t AS (SELECT 1) SELECT * FROM t", set(), set()),
        ("CREATE INDEX i ON t USING btree (a)", set(), set()),
        ("TRUNCATE TABLE", set(), set()),
        ("UPDATE ONLY (t) SET a = 1", {"t"}, {"t"}),
        ("SELECT 1 FROM (WITH RECURSIVE a AS (TABLE b), b AS (TABLE c) TABLE a) x, b", set(), {"b", "c"}),
        ("SELECT * FROM materialized (1), a.", set(), set()),
        ("DO $$ BEGIN FOR r IN SELECT a FROM t LOOP DELETE FROM u; END LOOP; END $$", {"u"}, {"t", "u"}),
        ("DO $$ BEGIN IF a THEN INSERT INTO t VALUES (1); ELSE UPDATE u SET a = 1; END IF; END $$",
         {"t", "u"}, {"u"}),
    ],
)  # fmt: skip
def test_the_tables_a_statement_names(text: str, changed: set[str], read_: set[str]) -> None:
    assert (set(_only(text).changed_tables), set(_only(text).read_tables)) == (changed, read_)


@pytest.mark.parametrize(
    ("text", "rows", "skips"),
    [
        ("SELECT * FROM t", False, False),
        ("SELECT 'for update'", False, False),
        ("SELECT * FROM t FOR UPDATE", True, False),
        ("SELECT * FROM t FOR NO KEY UPDATE OF t, u", True, False),
        ("SELECT * FROM t FOR KEY SHARE NOWAIT", True, True),
        ("SELECT * FROM t FOR UPDATE OF t\n SKIP  LOCKED", True, True),
        ("DELETE FROM t WHERE a = (SELECT a FROM t FOR UPDATE SKIP LOCKED)", True, True),
        ("CREATE TABLE u AS SELECT * FROM t FOR SHARE", True, False),
        ("UPDATE t SET x = 1", False, False),
        ("CREATE POLICY p ON t FOR UPDATE USING (true)", False, False),
        ("LOCK TABLE t NOWAIT", False, True),
        ("SELECT pg_try_advisory_xact_lock(1)", False, True),
        ("SELECT pg_advisory_lock(1)", False, False),
    ],
)
def test_what_a_statement_locks_and_whether_it_waits(text: str, rows: bool, skips: bool) -> None:
    assert (_only(text).row_locks, _only(text).skips) == (rows, skips)


@pytest.mark.parametrize(
    ("text", "locks", "unlocks", "advisory"),
    [
        ("SELECT pg_advisory_lock(1)", True, False, True),
        ("SELECT pg_try_advisory_lock_shared(1, 2)", True, False, True),
        ("SELECT pg_advisory_xact_lock(1)", False, False, True),
        ("SELECT pg_catalog.pg_advisory_unlock(1)", False, True, True),
        ("SELECT pg_advisory_unlock_all()", False, True, True),
        ("DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$", True, False, True),
        ("SELECT 'pg_advisory_lock(1)'", False, False, False),
    ],
)
def test_advisory_locks(text: str, locks: bool, unlocks: bool, advisory: bool) -> None:
    statement = _only(text)

    assert (statement.locks, statement.unlocks, statement.advisory) == (locks, unlocks, advisory)


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        ("notifies", ["NOTIFY a, 'b'", "SELECT pg_notify($1, $2)", "DO $$ BEGIN NOTIFY a; END $$"]),
        ("defers", ["SET CONSTRAINTS ALL DEFERRED", "CREATE TABLE t (a int UNIQUE DEFERRABLE)",
                    "DO $$ BEGIN ALTER TABLE t ADD UNIQUE (a) DEFERRABLE; END $$",
                    "DO $$ BEGIN SET CONSTRAINTS ALL IMMEDIATE; END $$"]),
        ("outside", ["VACUUM t", "CREATE INDEX CONCURRENTLY i ON t (a)", "DROP INDEX CONCURRENTLY i",
                     "REINDEX TABLE CONCURRENTLY t", "REINDEX (CONCURRENTLY) TABLE t", "REINDEX DATABASE d",
                     "CREATE DATABASE d", "DROP DATABASE d", "ALTER DATABASE d SET TABLESPACE s",
                     "CREATE TABLESPACE s LOCATION 'x'", "DROP TABLESPACE s", "ALTER SYSTEM RESET ALL",
                     "CLUSTER", "CLUSTER (VERBOSE)",
                     "ALTER TABLE t DETACH PARTITION u CONCURRENTLY",
                     "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p", "DROP SUBSCRIPTION s"]),
        ("adds_value", ["ALTER TYPE mood ADD VALUE 'x'"]),
        ("ends_inside", ["DO $$ BEGIN COMMIT; END $$",
                         "DO LANGUAGE plpgsql 'BEGIN IF a THEN ROLLBACK; END IF; END'",
                         "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT AND CHAIN; END $$"]),
        ("cluster", ["CREATE ROLE r", "ALTER USER u SET x = 1", "DROP GROUP g", "CREATE DATABASE d",
                     "DROP TABLESPACE s", "GRANT a TO b", "REVOKE a FROM b", "ALTER SYSTEM RESET ALL",
                     "COMMENT ON ROLE r IS 'x'", "GRANT SET ON PARAMETER x TO b"]),
        ("terminates", ["SELECT pg_terminate_backend(pid) FROM pg_stat_activity"]),
        ("backend_pid", ["SELECT pg_backend_pid()", "select pg_catalog.pg_backend_pid ( );"]),
        ("unlock_all", ["SELECT pg_advisory_unlock_all()", "SELECT pg_catalog.pg_advisory_unlock_all();"]),
    ],
)  # fmt: skip
def test_what_is_so(field: str, texts: list[str]) -> None:
    assert [text for text in texts if not getattr(_only(text), field)] == []


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        ("notifies", ["LISTEN a", "SELECT 'NOTIFY a'"]),
        ("defers", ["SET TRANSACTION DEFERRABLE", "SELECT 'deferrable'", "CREATE TABLE t (a int UNIQUE)"]),
        ("outside", ["ANALYZE t", "CLUSTER t", "CREATE INDEX i ON t (a)", "REINDEX TABLE t",
                     "ALTER DATABASE d SET x = 1",
                     "REFRESH MATERIALIZED VIEW CONCURRENTLY v", "ALTER TABLE t DETACH PARTITION u",
                     "CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p WITH (connect = false)"]),
        ("adds_value", ["ALTER TYPE mood RENAME VALUE 'a' TO 'b'", "ALTER TABLE t ADD value int"]),
        ("ends_inside", ["DO $$ BEGIN RAISE NOTICE 'COMMIT;'; END $$", "DO $$ BEGIN ROLLBACK TO a; END $$",
                         "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'COMMIT'"]),
        ("cluster", ["CREATE USER MAPPING FOR a SERVER s", "GRANT SELECT ON t TO b",
                     "CREATE TABLE role (a int)"]),
        ("terminates", ["SELECT pg_cancel_backend(1)"]),
        ("backend_pid", ["SELECT pg_backend_pid() AS pid", "SELECT pg_backend_pid(), 1",
                         "SELECT 'pg_backend_pid()'"]),
        ("unlock_all", ["SELECT pg_advisory_unlock(1)", "SELECT pg_advisory_unlock_all() FROM t"]),
    ],
)  # fmt: skip
def test_what_is_not_so(field: str, texts: list[str]) -> None:
    assert [text for text in texts if getattr(_only(text), field)] == []


@pytest.mark.parametrize(
    ("text", "name", "on_commit"),
    [
        ("CREATE TEMP TABLE t (a int)", "t", ""),
        ("CREATE LOCAL TEMPORARY TABLE IF NOT EXISTS T (a int) ON COMMIT DROP", "t", "drop"),
        ("CREATE GLOBAL TEMP TABLE t ON COMMIT DELETE ROWS AS SELECT 1", "t", "delete rows"),
        ('CREATE TEMP TABLE pg_temp."T" (a int) ON COMMIT PRESERVE ROWS', "T", ""),
        ("CREATE TABLE pg_temp.t (a int)", "t", ""),
        ("CREATE OR REPLACE TEMP VIEW v AS SELECT 1", "v", ""),
        ("CREATE TEMP SEQUENCE s", "s", ""),
        ("CREATE TEMP TABLE t (a int REFERENCES u ON DELETE CASCADE) ON COMMIT DROP", "t", "drop"),
        ("SELECT 1 INTO TEMP TABLE t", "t", ""),
        ("SELECT 1 INTO TEMPORARY t", "t", ""),
        ("SELECT 1 INTO t", "", ""),
        ("CREATE TABLE temp (a int)", "", ""),
        ("CREATE UNLOGGED TABLE t (a int)", "", ""),
    ],
)
def test_temporary_tables(text: str, name: str, on_commit: str) -> None:
    assert (_only(text).temp_table, _only(text).temp_on_commit) == (name, on_commit)


@pytest.mark.parametrize(
    ("text", "calls", "like"),
    [
        ("SELECT set_config('App.Tenant', 'a', true)", [SetConfig("app.tenant", None, True)], {"app.tenant"}),
        ("SELECT set_config($1, $2, $3)", [SetConfig(None, 1, None, 3)], set()),
        ("SELECT set_config($1::text, 'x.y', 'f'::bool)", [SetConfig(None, 1, False)], {"x.y"}),
        ("SELECT set_config(name, f(1, 2), not true) FROM t", [SetConfig(None)], set()),
        ("SELECT set_config('work_mem', '1MB', false), set_config('a.b', 'no name.', true)",
         [SetConfig("work_mem", None, False), SetConfig("a.b", None, True)], {"work_mem", "a.b"}),
        ("SELECT set_config()", [SetConfig(None)], set()),
        ("SELECT set_config('a', 'b'", [SetConfig("a")], {"a"}),
        ("DO $$ BEGIN SET LOCAL a.b = 1; END $$", [SetConfig("a.b", None, True)], set()),
        ("SELECT 'a.b'", [], set()),
    ],
)  # fmt: skip
def test_calls_of_set_config(text: str, calls: list[SetConfig], like: set[str]) -> None:
    assert (list(_only(text).set_configs), set(_only(text).setting_like)) == (calls, like)
