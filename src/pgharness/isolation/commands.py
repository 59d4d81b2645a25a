"""The SQL of a link's own, beside what the stack of savepoints asks for."""

from __future__ import annotations

from pgharness.isolation.statements import Statement

BEGIN = ("BEGIN", "SAVEPOINT pgh_test")
"""Begins the transaction of a test. The savepoint is gone if anything has ended that transaction."""
END = "ROLLBACK TO SAVEPOINT pgh_test; ROLLBACK"
END_INNER = "ROLLBACK TO SAVEPOINT pgh_test; RELEASE SAVEPOINT pgh_test"
HOLDERS = """
SELECT format('process %s%s, %s for %s s, its last statement: %s', pid,
              coalesce(' ' || nullif(application_name, ''), ''), state,
              round(extract(epoch FROM clock_timestamp() - xact_start)::numeric, 1), left(query, 120))
FROM pg_stat_activity
WHERE datname = current_database() AND pid NOT IN (pg_backend_pid(), {pid}) AND xact_start IS NOT NULL
      AND backend_type = 'client backend'
ORDER BY xact_start
"""
"""The open transactions of clients besides that of the process ``pid``, a line each."""
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
UNLOCK = "SELECT pg_advisory_unlock_all()"
LET_WAIT = """DO $$ DECLARE waiting text; BEGIN
  SELECT string_agg(format('%I.%I', n.nspname, c.conname), ', ') INTO waiting
  FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_namespace n ON n.oid = c.connamespace
  WHERE c.condeferred;
  IF waiting IS NOT NULL THEN EXECUTE 'SET CONSTRAINTS ' || waiting || ' DEFERRED'; END IF;
END $$"""
CHECK_CONSTRAINTS = f"SET CONSTRAINTS ALL IMMEDIATE; {LET_WAIT}"
"""Checks what a commit would check, then lets the constraints wait again that do so by themselves."""
CHECK = Statement("plain", writes=True)
"""What the stack takes `CHECK_CONSTRAINTS` for."""
DEFAULT = "SELECT reset_val FROM pg_settings WHERE name = lower({})"
"""The value that RESET would give a parameter, whatever a transaction has set."""
